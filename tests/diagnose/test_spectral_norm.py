"""The largest singular value: exact for narrow matrices, a close lower bound for wide ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from structinit_core.diagnose import spectral_norm, tensors

SHAPES = [(40, 40), (90, 30), (30, 90), (2, 2)]
PATHS = ["exact", "power"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of computing: by the Gram matrix, and as if the matrix were too wide for it."""
    if request.param == "power":
        monkeypatch.setattr(tensors, "_EXACT_WIDTH", 1)
    return str(request.param)


def decaying(rows: int, columns: int) -> Tensor:
    """A random matrix with the spectrum of trained weights: each value 0.8 of the one before."""
    rng = np.random.default_rng(rows)
    rank = min(rows, columns)
    left = np.linalg.qr(rng.standard_normal((rows, rank)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, rank)))[0]
    return torch.from_numpy((left * 0.8 ** np.arange(rank)) @ right.T).float()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_close_to_the_dense_svd(rows: int, columns: int) -> None:
    assert spectral_norm(decaying(rows, columns)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_never_above_and_close_below_for_noise(rows: int, columns: int, path: str) -> None:
    # pure noise has no gap in its spectrum, the hardest case for power steps
    noise = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))
    exact = np.linalg.svd(noise.numpy(), compute_uv=False)[0]
    found = spectral_norm(noise)
    assert found <= exact * (1 + 1e-5)
    assert found >= exact * (0.95 if path == "power" else 1 - 1e-5)


@pytest.mark.usefixtures("path")
def test_float64_is_not_narrowed() -> None:
    matrix = torch.diag(torch.tensor([1 + 1e-12, 0.1], dtype=torch.float64))
    assert spectral_norm(matrix) - 1 == pytest.approx(1e-12, rel=1e-2, abs=0)


@pytest.mark.usefixtures("path")
def test_the_norm_of_zeros() -> None:
    assert spectral_norm(torch.zeros(7, 5)) == 0


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_numbers_whose_squares_leave_float32(scale: float) -> None:
    matrix = scale * decaying(20, 10)
    assert spectral_norm(matrix) == pytest.approx(scale, rel=1e-3, abs=0)


@pytest.mark.usefixtures("path")
def test_rows_without_mean() -> None:
    # closed-form initialisers write in directions orthogonal to the all-ones vector
    row = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert spectral_norm(row.expand(6, 4)) == pytest.approx(24**0.5, rel=1e-4)


@pytest.mark.usefixtures("path")
def test_the_same_matrix_gives_the_same_number() -> None:
    matrix = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    first = spectral_norm(matrix)
    torch.manual_seed(2)
    assert spectral_norm(matrix) == first
