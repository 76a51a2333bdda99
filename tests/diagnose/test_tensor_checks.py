"""Static checks on tensors whose norms are known without computing them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from structinit_core.progress import Silent

NORMS = {"norm", "rms", "spectral_norm", "stable_rank"}


def orthogonal(size: int) -> Tensor:
    random = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(random.double())[0].float()


@pytest.mark.parametrize("scale", [1.0, 0.02, 300.0])
def test_an_orthogonal_matrix(checks_of, scale: float) -> None:
    checks = checks_of(scale * orthogonal(24))
    assert checks["shape"].value == "24x24"
    assert checks["dtype"].value == "float32"
    assert checks["spectral_norm"].value == pytest.approx(scale, rel=1e-5)
    assert checks["stable_rank"].value == pytest.approx(24, rel=1e-5)
    assert checks["norm"].value == pytest.approx(scale * math.sqrt(24), rel=1e-6)
    assert checks["rms"].value == pytest.approx(scale / math.sqrt(24), rel=1e-6)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_a_matrix_of_rank_one(checks_of, shape: tuple[int, int]) -> None:
    left, right = torch.arange(1.0, shape[0] + 1), torch.arange(1.0, shape[1] + 1)
    checks = checks_of(torch.outer(left, right))
    assert checks["stable_rank"].value == pytest.approx(1, rel=1e-5)
    length = float(left.norm() * right.norm())
    assert checks["spectral_norm"].value == pytest.approx(length, rel=1e-5)
    assert checks["norm"].value == pytest.approx(length, rel=1e-5)


def test_finite_tensors_pass(checks_of) -> None:
    checks = checks_of(orthogonal(4))
    assert (checks["nan"].value, checks["nan"].verdict) == (0, "ok")
    assert (checks["inf"].value, checks["inf"].verdict) == (0, "ok")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_is_not_finite_is_counted_and_fails(checks_of, dtype: torch.dtype) -> None:
    tensor = torch.ones(5, 4, dtype=dtype)
    tensor[0, :3] = math.nan
    tensor[2, 1], tensor[4, 3] = math.inf, -math.inf
    checks = checks_of(tensor)
    assert (checks["nan"].value, checks["nan"].verdict) == (3, "fail")
    assert (checks["inf"].value, checks["inf"].verdict) == (2, "fail")
    assert not NORMS & checks.keys()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_each_kind_fails_alone(checks_of, bad: float) -> None:
    verdicts = {name: check.verdict for name, check in checks_of(torch.tensor([1.0, bad])).items()}
    assert verdicts["nan"] == ("fail" if math.isnan(bad) else "ok")
    assert verdicts["inf"] == ("ok" if math.isnan(bad) else "fail")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_have_no_norm(checks_of, dtype: torch.dtype) -> None:
    checks = checks_of(torch.ones(3, 2, dtype=dtype))
    assert checks.keys() == {"shape", "dtype"}
    assert checks["dtype"].value == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_summed_in_a_wider_type(checks_of, dtype: torch.dtype) -> None:
    # squares of 300 are beyond float16, and sums of 64 of them beyond the digits of bfloat16
    random = torch.rand(64, 5, generator=torch.Generator().manual_seed(0))
    tensor = (200 + 100 * random).to(dtype)
    checks, stored = checks_of(tensor), tensor.double()
    assert checks["dtype"].value == str(dtype).removeprefix("torch.")
    assert checks["norm"].value == pytest.approx(float(stored.norm()), rel=1e-6)
    largest = float(torch.linalg.svdvals(stored)[0])
    assert checks["spectral_norm"].value == pytest.approx(largest, rel=1e-5)


@pytest.mark.parametrize("shape", [(), (9,), (1, 9), (9, 1), (3, 3, 3)])
def test_only_matrices_have_a_rank(checks_of, shape: tuple[int, ...]) -> None:
    checks = checks_of(torch.full(shape, -2.0))
    assert checks["norm"].value == pytest.approx(2 * math.sqrt(math.prod(shape)))
    assert checks["rms"].value == pytest.approx(2)
    assert "stable_rank" not in checks


def test_zeros_have_no_rank(checks_of) -> None:
    checks = checks_of(torch.zeros(6, 5))
    assert [checks[name].value for name in sorted(NORMS)] == [0, 0, 0, 0]
    assert (checks["zeros"].value, checks["matrix_rank"].value) == (1, 0)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0)])
def test_empty_tensors(checks_of, shape: tuple[int, ...]) -> None:
    checks = checks_of(torch.zeros(shape))
    assert checks["nan"].verdict == checks["inf"].verdict == "ok"
    assert not NORMS & checks.keys()


def test_every_tensor_is_one_step_of_progress(examine) -> None:
    class Steps(Silent):
        done = 0

        def advance(self, steps: int = 1) -> None:
            self.done += steps

    progress = Steps()
    tensors = {"a": torch.ones(2), "b": torch.ones(2, dtype=torch.int8), "c": torch.ones(0)}
    report = examine(tensors, progress=progress)
    assert progress.done == 3
    assert [part.name for part in report.parts] == ["a", "b", "c"]
