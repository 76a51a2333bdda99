"""Block Krylov bases with every block kept: symmetric (Lanczos) and rectangular (Golub-Kahan).

The basis grows until the residuals of the wanted values, read from the last block alone, are
small enough. Sources: Golub & Underwood 1977; Musco & Musco 2015; small blocks and the
orthogonalisation after the measurements of performance note 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.linalg.basis import Basis, Doubles, as_doubles, on_device
from structinit_core.linalg.products import Products

_GROWTH, _COSTLY_GROWTH = 1.12, 1.25
"""Ratio of columns between two checks, each an eigh, or for rectangles an SVD, ten times dearer."""
_CHEAP_CHECK = 4
"""Where a side is longer than this times the columns squared, an SVD costs less than a block."""
_COARSE = 5e-4
"""Tolerance, and least size of a block, from which one side need not be orthogonalised in full."""
_LEAST_GROWTH = 1.04
"""The same where the residuals foretell that the next check is the last."""


@dataclass(frozen=True)
class Stopping:
    """When a basis is good enough: the rank wanted, and any of three limits.

    tolerance: largest residual, relative to the largest value; energy: growth of the captured
    energy since the last check, relative to it; columns: cap on the basis of one side. positive:
    eigenvalues are wanted from the largest down, not by modulus.
    """

    rank: int
    block: int
    tolerance: float
    energy: float | None
    columns: int
    positive: bool = False

    def order(self, values: Doubles) -> NDArray[np.intp]:
        """Places of the wanted eigenvalues, the first first."""
        sizes = values if self.positive else np.abs(values)
        return np.argsort(-sizes, kind="stable")[: self.rank]

    def next_check(self, count: int, growth: float = _GROWTH) -> int:
        """Columns at which to look again."""
        target = ceil(count * growth) if count else self.rank + 4 * self.block
        return min(self.columns, max(target, count + self.block))


@dataclass(frozen=True)
class Ritz:
    """Approximate triplets: values (r,), vectors of the two sides, and what they are worth.

    residuals (r,) are relative to the largest value; products counts columns multiplied;
    converged says whether the tolerance was met.
    """

    values: Doubles
    left: Tensor
    right: Tensor
    residuals: Doubles
    products: int
    columns: int
    converged: bool


class _Remainder:
    """What products left outside the basis: of the first block, if it was wide, and the last.

    A wide first block (a warm start) hands on only the directions in which it errs most; the
    others wait here, and lose what later blocks explain.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.first: Tensor | None = None
        self.last = torch.empty(0)

    def source(self, image: Tensor) -> Tensor:
        """Columns to extend the basis by, out of a new image that is orthogonal to it."""
        self.last = image
        if image.shape[1] <= self.width:
            return image
        _, directions = np.linalg.eigh(as_doubles(image.T @ image))
        self.first, self.last = image, image[:, :0]
        return image @ on_device(directions[:, -self.width :], image.device)

    def explain(self, new: Tensor) -> Doubles | None:
        """Coefficients of the first block's remainder in new columns, which it then loses."""
        if self.first is None:
            return None
        share = new.T @ self.first
        self.first.addmm_(new, share, alpha=-1)
        return as_doubles(share)

    def norms(self, weights: Doubles) -> Doubles:
        """Norms of the remainder times (count, r) weights of the basis multiplied so far."""
        parts = [self.last] if self.first is None else [self.first, self.last]
        tail = len(weights) - self.last.shape[1]
        taken = [weights[tail:]]
        if self.first is not None:
            taken.insert(0, weights[: self.first.shape[1]])
        stacked, used = torch.cat(parts, dim=1), np.concatenate(taken)
        gram = as_doubles(stacked.T @ stacked)
        squares: Doubles = np.einsum("ir,ij,jr->r", used, gram, used, optimize=True)
        return np.sqrt(np.maximum(squares, 0.0))


def _met(stopping: Stopping, values: Doubles, relative: Doubles, before: float) -> bool:
    if len(values) < stopping.rank:
        return False
    captured = float((values**2).sum())
    steady = stopping.energy is not None and captured - before <= stopping.energy * captured
    return bool(relative.max() <= stopping.tolerance) or steady


def _pace(stopping: Stopping, past: tuple[int, float], now: tuple[int, float]) -> float:
    """Growth up to where the residual would be met, if it falls on as between two checks."""
    (before, larger), (count, residual) = past, now
    if stopping.energy is not None or not 0 < stopping.tolerance < residual < larger < inf:
        return _GROWTH
    needed = (count - before) * log(residual / stopping.tolerance) / log(larger / residual)
    return min(max(1 + needed / count, _LEAST_GROWTH), _GROWTH)


def _relative(norms: Doubles, values: Doubles) -> Doubles:
    largest = float(np.abs(values).max(initial=0.0))
    return norms / largest if largest else norms


def lanczos(
    matrix: Products, first: Tensor, stopping: Stopping, generator: np.random.Generator
) -> Ritz:
    """Leading eigenpairs of a symmetric matrix, from ``first`` (n, w) on.

    One product a block. Cost: nnz·m + 2·n·m² for m columns. Left and right are the same.

    Raises:
        NumericalError: a NaN or infinity in a product.
    """
    basis = Basis(matrix.shape[0], matrix.device, generator)
    remainder = _Remainder(stopping.block)
    check = stopping.next_check(0)
    basis.reserve(check + stopping.block)
    block, _ = basis.extend(first)
    warm, before, past = first.shape[1] > stopping.block, inf, (0, inf)
    inner = np.zeros((0, 0))
    while True:
        count, width = basis.count, block.shape[1]
        image = matrix.apply(block)
        inner = _grown(inner, count, count)
        inner[:, count - width :] = as_doubles(basis.project_out(image))
        source = remainder.source(image)
        if warm or count >= check or not basis.room:
            warm = False
            values, weights = np.linalg.eigh((inner + inner.T) / 2)
            order = stopping.order(values)
            values, weights = values[order], weights[:, order]
            relative = _relative(remainder.norms(weights), values)
            met = _met(stopping, values, relative, before)
            if met or count >= stopping.columns or not basis.room:
                found = basis.combine(weights)
                met = bool(len(relative) and relative.max() <= stopping.tolerance)
                return Ritz(values, found, found, relative, count, count, met)
            before = float((values**2).sum())
            now = count, float(relative.max(initial=0))
            check, past = stopping.next_check(count, _pace(stopping, past, now)), now
            basis.reserve(check + stopping.block)
        block, factor = basis.extend(source)
        inner = _grown(inner, basis.count, basis.count)
        if source is image:
            inner[count:, count - width : count] = factor
        share = remainder.explain(block)
        if share is not None:
            inner[count:, : share.shape[1]] = share


def golub_kahan(
    matrix: Products, first: Tensor, stopping: Stopping, generator: np.random.Generator
) -> Ritz:
    """Leading singular triplets of (m, n) with m ≥ n, from right vectors ``first`` (n, w) on.

    The matrix is never squared. The right basis is orthogonalised in full, the left one only
    against its two latest blocks as long as the tolerance is no finer than 5·10⁻⁴ and no block
    is smaller than that share of the largest (one-sided reorthogonalisation, Simon & Zha 2000).
    Two products a block; cost 2·nnz·c + 2·n·c² for c columns a side, with both in full
    2·(m+n)·c².

    Raises:
        NumericalError: a NaN or infinity in a product.
    """
    rows, columns = matrix.shape
    left = Basis(rows, matrix.device, generator)
    right = Basis(columns, matrix.device, generator)
    remainder = _Remainder(stopping.block)
    check = stopping.next_check(0)
    for basis in (left, right):
        basis.reserve(min(2 * check, stopping.columns + stopping.block))
    block, _ = right.extend(first)
    warm, before, products = first.shape[1] > stopping.block, np.inf, 0
    whole = warm or stopping.tolerance < _COARSE
    inner = np.zeros((0, 0))
    while True:
        width = block.shape[1]
        image = matrix.apply(block)
        coefficients = as_doubles(left.project_out(image, whole=whole))
        fresh, factor = left.extend(image)
        inner = _grown(inner, left.count, right.count)
        inner[:, right.count - width :] = np.concatenate((coefficients, factor))
        sizes = np.linalg.norm(inner, axis=0)
        least = np.linalg.svd(factor, compute_uv=False).min(initial=0.0)
        whole = whole or bool(least < _COARSE * sizes.max())
        image = matrix.adjoint(fresh)
        right.project_out(image)
        products += width + fresh.shape[1]
        source = remainder.source(image)
        if warm or right.count >= check or not right.room:
            warm = False
            u, values, vt = np.linalg.svd(inner, full_matrices=False)
            u, values, v = u[:, : stopping.rank], values[: stopping.rank], vt[: stopping.rank].T
            relative = _relative(remainder.norms(u), values)
            met = _met(stopping, values, relative, before)
            if met or right.count >= stopping.columns or not right.room:
                met = bool(len(relative) and relative.max() <= stopping.tolerance)
                found = left.combine(u), right.combine(v)
                return Ritz(values, *found, relative, products, right.count, met)
            before = float((values**2).sum())
            cheap = _CHEAP_CHECK * right.count**2 < columns
            check = stopping.next_check(right.count, 1.0 if cheap else _COSTLY_GROWTH)
            for basis in (left, right):
                basis.reserve(check + stopping.block)
        block, _ = right.extend(source)
        remainder.explain(block)


def _grown(matrix: Doubles, rows: int, columns: int) -> Doubles:
    """The matrix in the corner of a larger one of zeros."""
    return np.pad(matrix, ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))
