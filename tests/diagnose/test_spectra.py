"""The spectrum of a matrix: against the dense SVD, in any orientation, scale and width."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.diagnose import spectrum as room
from structinit_core.diagnose.report import Report, Series
from structinit_core.diagnose.spectrum import gram, safe_scale, spectrum

CPU = torch.device("cpu")


def with_values(values: list[float], columns: int) -> Tensor:
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(values))))[0]
    return torch.from_numpy((left * values) @ right.T)


def gaussian(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows + columns))


def curve(report: Report, name: str = "singular_values") -> Series:
    (found,) = (one for one in report.series if one.name == name)
    return found


@pytest.mark.parametrize("shape", [(40, 40), (90, 30), (30, 90), (2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_all_values_are_those_of_the_dense_svd(shape, dtype: torch.dtype) -> None:
    matrix = gaussian(*shape).to(dtype)
    found, _ = spectrum(matrix, 1.0, CPU, name="w")
    exact = torch.linalg.svdvals(matrix.double())
    assert found.exact
    assert found.values() == pytest.approx(exact.numpy(), rel=1e-9)
    assert found.energy == pytest.approx(float(matrix.double().square().sum()), rel=1e-12)


def test_a_matrix_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = gaussian(70, 33)
    whole = [gram(matrix, axis, 1.0, CPU) for axis in (0, 1)]
    monkeypatch.setattr(room, "_PIECE", 100)
    for axis in (0, 1):
        pieces = gram(matrix, axis, 1.0, CPU)
        assert torch.allclose(pieces, whole[axis], rtol=1e-12, atol=1e-12)
    assert torch.allclose(whole[0], matrix.double() @ matrix.double().T)


def test_small_values_survive_the_squares() -> None:
    # a square Gaussian start has such values: float32 Gram matrices lose them
    values = [1.0, 1e-2, 1e-4, 3e-6]
    found, _ = spectrum(with_values(values, 9), 1.0, CPU, name="w")
    assert found.values() == pytest.approx(values, rel=1e-3)


def test_what_rounding_hides_counts_as_zero() -> None:
    found, _ = spectrum(with_values([1.0, 0.5, 1e-9, 1e-10], 9), 1.0, CPU, name="w")
    assert found.rank == 2


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_squares_beyond_float64(examine, scale: float) -> None:
    report = examine({"w": scale * with_values([2.0, 1.0], 5)})
    assert curve(report).values == pytest.approx([2 * scale, scale], rel=1e-9, abs=0)
    assert report.value("stable_rank", "w") == pytest.approx(1.25)
    assert report.value("log_spectral_norm", "w") == pytest.approx(2 * math.log10(2 * scale))


def test_a_scale_rounds_nothing() -> None:
    assert safe_scale(torch.float32, 1e30) == 1
    for largest in (1e300, 3.0, 1e-300, 5e-324):
        mantissa, _ = math.frexp(safe_scale(torch.float64, largest))
        assert mantissa == 0.5


@pytest.mark.parametrize("shape", [(60, 50), (50, 60)])
def test_wide_matrices_have_their_leading_values(monkeypatch, examine, shape) -> None:
    monkeypatch.setattr(room, "EXACT_WIDTH", 49)
    matrix = gaussian(*shape)
    matrix[0] *= 20
    report = examine({"w": matrix})
    exact = torch.linalg.svdvals(matrix)
    assert report.value("spectral_norm", "w") == pytest.approx(float(exact[0]), rel=1e-5)
    assert report.value("num_spikes", "w") == 1
    assert report.value("norm", "w") == pytest.approx(float(matrix.norm()), rel=1e-6)
    places = torch.tensor(curve(report).places()) - 1
    assert curve(report).values[:10] == pytest.approx(exact[places][:10].tolist(), rel=1e-2)
    with pytest.raises(KeyError):
        report.value("condition", "w")


def test_wide_matrices_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT_WIDTH", 300)
    matrix = gaussian(400, 500)
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        runs.append(spectrum(matrix, 1.0, CPU, name="w")[0].squares.tobytes())
    assert runs[0] == runs[1]


def test_a_long_spectrum_is_sampled_at_its_places(examine) -> None:
    matrix = gaussian(400, 300)
    found = curve(examine({"w": matrix}))
    exact = torch.linalg.svdvals(matrix.double())
    assert len(found.values) <= 64
    assert (found.at[0], found.at[-1]) == (1, 300)
    assert found.values == pytest.approx(exact[torch.tensor(found.at) - 1].tolist(), rel=1e-6)


def test_the_histogram_counts_every_value(examine) -> None:
    matrix = gaussian(80, 60)
    found = curve(examine({"w": matrix}), "singular_value_counts")
    exact = torch.linalg.svdvals(matrix.double())
    assert sum(found.values) == 60
    assert found.edges[0] == 0
    assert found.edges[-1] == pytest.approx(float(exact[0]))
    middle = found.edges[16]
    assert sum(found.values[16:]) == int((exact >= middle).sum())


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(4, 4), torch.ones(9), torch.ones(1, 9), torch.full((3, 3), math.nan)],
    ids=["zeros", "vector", "row", "nan"],
)
def test_no_picture(examine, tensor: Tensor) -> None:
    assert examine({"w": tensor}).series == ()


def test_the_gram_matrix_of_heads_is_the_spectrum_s(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = gaussian(12, 20)
    _, products = spectrum(matrix, 1.0, CPU, name="w", along=0)
    assert products is not None
    assert torch.equal(products, gram(matrix, 0, 1.0, CPU))
    assert spectrum(matrix, 1.0, CPU, name="w", along=1)[1] is None


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_products_stay_on_their_device() -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    with FakeTensorMode():
        piece = torch.empty(300, 20, dtype=torch.float64, device="cuda")
        found = room._products(piece)
        assert found.is_cuda
        assert tuple(found.shape) == (20, 20)


@pytest.mark.cuda
def test_cuda_finds_the_values_of_the_cpu() -> None:
    matrix = gaussian(500, 300)
    one, other = (spectrum(matrix, 1.0, torch.device(d), name="w")[0] for d in ("cpu", "cuda"))
    assert one.values() == pytest.approx(other.values(), rel=1e-9)
