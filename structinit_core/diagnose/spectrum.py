"""Singular values of a matrix from its Gram matrix; the leading ones only of very wide ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.linalg import generator, truncated_svd

EXACT_WIDTH = 4096
"""Shorter sides up to this have all their singular values computed."""
LEADING = 32
"""Singular values that are computed of wider matrices."""
_LEADING_COLUMNS = 192
_PIECE = 1 << 23
"""Numbers that are widened to float64 at a time: 64 MiB."""


@dataclass(frozen=True)
class Spectrum:
    """Squared singular values of a matrix divided by ``scale``, ascending, float64.

    ``exact``: all ``short`` of them are there, and those that rounding of the Gram matrix
    hides (below short·ε of the largest) are zero; else the leading ones, each a lower bound.
    ``energy`` is the squared Frobenius norm, over scale². ``long`` × ``short`` are the sides.
    """

    squares: NDArray[np.float64]
    energy: float
    scale: float
    long: int
    short: int
    exact: bool

    @property
    def rank(self) -> int:
        """How many values are not zero."""
        return int(np.count_nonzero(self.squares))

    def values(self) -> NDArray[np.float64]:
        """The singular values themselves, descending."""
        values: NDArray[np.float64] = np.sqrt(self.squares[::-1]) * self.scale
        return values


def safe_scale(dtype: torch.dtype, largest: float) -> float:
    """A divisor under which squares stay in float64: 1, or for float64 a power of two.

    ``largest`` is the largest modulus; dividing by a power of two rounds nothing.
    """
    if dtype.itemsize < 8 or not largest:
        return 1.0
    return 2.0 ** (math.frexp(largest)[1] - 1)


def gram(matrix: Tensor, axis: int, scale: float, device: torch.device) -> Tensor:
    """The inner products of the rows (axis 0) or columns (1) of matrix/scale: float64 on device.

    float64 because squaring halves the digits: in float32 singular values below 1/3000 of the
    largest would be rounding, and a square Gaussian matrix of width 2,048 has such. The matrix
    is widened piece by piece. Cost: n²·m multiply-adds, half of them on a CPU.
    """
    lines = matrix if axis == 0 else matrix.T
    total = torch.zeros((), dtype=torch.float64, device=device)
    for piece in _pieces(lines.T):
        wide = piece.to(device, torch.float64)
        products = _products(wide if scale == 1 else wide / scale)
        total = total.add_(products) if total.ndim else products
    return total


def spectrum(
    matrix: Tensor, scale: float, device: torch.device, *, name: str, along: int | None = None
) -> tuple[Spectrum, Tensor | None]:
    """The spectrum of matrix/scale, and the Gram matrix over the axis ``along`` if it was made.

    ``scale`` as of :func:`safe_scale`. All values up to a shorter side of
    :data:`EXACT_WIDTH`, from the eigenvalues of the Gram matrix of that side; beyond it the
    :data:`LEADING` by block Krylov in float32, started from the seed of ``name``. Memory: four
    squares of the shorter side in float64, and 192 MiB. Deterministic for one BLAS and device.
    """
    rows, columns = matrix.shape
    short, long = sorted((rows, columns))
    if short > EXACT_WIDTH:
        operator = _Dense(matrix, scale, device)
        found = truncated_svd(
            operator, LEADING, generator(0, "spectrum", name), columns=_LEADING_COLUMNS
        )
        squares = found.values[::-1].astype(np.float64) ** 2
        return Spectrum(squares, operator.energy, scale, long, short, exact=False), None
    axis = along if along is not None and matrix.shape[along] == short else int(columns < rows)
    products = gram(matrix, axis, scale, device)
    energy = float(products.diagonal().sum())
    squares = _eigenvalues(products)
    squares[squares <= short * np.finfo(np.float64).eps * squares[-1]] = 0.0
    return (
        Spectrum(squares, energy, scale, long, short, exact=True),
        products if axis == along else None,
    )


def _products(piece: Tensor) -> Tensor:
    """pieceᵀ·piece. numpy computes half of it and mirrors it; torch has no such product."""
    if piece.is_cuda:
        return piece.T @ piece
    array = piece.numpy()
    return torch.from_numpy(array.T @ array)


def _eigenvalues(products: Tensor) -> NDArray[np.float64]:
    """Ascending. numpy's are a third faster than torch's on a CPU."""
    found: NDArray[np.float64] = (
        torch.linalg.eigvalsh(products).cpu().numpy()
        if products.is_cuda
        else np.linalg.eigvalsh(products.numpy())
    )
    return found


def _pieces(lines: Tensor) -> Sequence[Tensor]:
    """Runs of whole lines, of :data:`_PIECE` numbers or one line."""
    step = max(1, _PIECE // max(1, lines.shape[1]))
    return torch.split(lines, step)


class _Dense:
    """The products of a stored matrix over ``scale``, widened to float32 piece by piece."""

    symmetric = False

    def __init__(self, matrix: Tensor, scale: float, device: torch.device) -> None:
        self._matrix, self._scale, self.device = matrix, scale, device
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.energy = sum(float(piece.double().square().sum()) for piece in self._placed())

    def apply(self, block: Tensor) -> Tensor:
        """The product with (n, q)."""
        return torch.cat([piece @ block for piece in self._placed()])

    def adjoint(self, block: Tensor) -> Tensor:
        """The product of the transpose with (m, q)."""
        total = torch.zeros(self.shape[1], block.shape[1], device=self.device)
        start = 0
        for piece in self._placed():
            total += piece.T @ block[start : start + len(piece)]
            start += len(piece)
        return total

    def _placed(self) -> Iterator[Tensor]:
        for piece in _pieces(self._matrix):
            yield piece.to(self.device, torch.float32) / self._scale
