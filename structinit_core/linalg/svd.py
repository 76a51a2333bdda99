"""Truncated SVD and eigenpairs of an implicit operator, each with a report on its error."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.linalg.dense import dense_eigen, dense_svd
from structinit_core.linalg.folding import fold, worth_folding
from structinit_core.linalg.krylov import Ritz, Stopping, golub_kahan, lanczos
from structinit_core.linalg.operators import SparsePlusLowRank
from structinit_core.linalg.products import Products, SparseProducts

BLOCK = 16
"""Columns multiplied at a time: small blocks need the fewest columns in all (note 2)."""
TOLERANCE = 1e-3
_NEGLIGIBLE = 1e-6
"""Share of the largest value below which float32 leaves only noise."""
_CPU = torch.device("cpu")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FactorReport:
    """What a factorisation is worth and what it cost.

    residuals: for every value the larger of ‖A·v − s·u‖ and ‖Aᵀ·u − s·v‖, relative to the
    largest value, true up to float32 rounding (10⁻⁶); energy: share of the squared Frobenius
    norm that the values hold, None where the norm is not known; products: columns multiplied
    by the matrix or its transpose; columns: size of the basis of one side.
    """

    residuals: tuple[float, ...]
    energy: float | None
    products: int
    columns: int
    converged: bool

    @property
    def residual(self) -> float:
        """The largest residual."""
        return max(self.residuals)

    @property
    def median_residual(self) -> float:
        """The median residual."""
        return float(np.median(self.residuals))


@dataclass(frozen=True)
class TruncatedSvd:
    """U (m, r), singular values descending (r,), V (n, r), float32; A ≈ U·diag(s)·Vᵀ."""

    left: Floats
    values: Floats
    right: Floats
    report: FactorReport


@dataclass(frozen=True)
class TruncatedEigen:
    """Eigenvalues (r,), the wanted first, and eigenvectors (n, r), float32."""

    values: Floats
    vectors: Floats
    report: FactorReport


def truncated_svd(
    operator: SparsePlusLowRank | Products,
    rank: int,
    generator: np.random.Generator,
    *,
    tolerance: float = TOLERANCE,
    energy: float | None = None,
    columns: int | None = None,
    block: int = BLOCK,
    start: TruncatedSvd | None = None,
    device: torch.device = _CPU,
) -> TruncatedSvd:
    """The ``rank`` leading singular triplets, up to the reported residuals.

    Fewer where the matrix has a smaller numerical rank (values above 10⁻⁶ of the largest),
    but at least one. The basis grows until the largest residual is ``tolerance`` of the
    largest value, or the captured energy grew by less than the share ``energy`` since the
    last check (every 12 % more columns, for a rectangle 25 %), or it has ``columns`` columns
    (by default rank·6 + 400). ``start`` is an earlier result for a similar matrix. Signs are
    fixed: the largest entry of each left vector is positive. Of a value of multiplicity above
    ``block`` copies may be missed. A sparse matrix with many lines of one entry or none (a
    graph) is folded first, which changes no triplet (folding.py). Cost in krylov.py.
    Deterministic given the generator's state, up to the BLAS in use.

    Raises:
        NumericalError: a NaN or infinity came out.
    """
    folding = None
    if isinstance(operator, SparsePlusLowRank) and worth_folding(operator):
        folding = fold(operator, rank)
    matrix = _placed(folding.core if folding else operator, device)
    rows, across = matrix.shape
    turned = rows < across
    if turned:
        matrix = _Transposed(matrix)
    stopping = _stopping(matrix, rank, tolerance, energy, columns, block)
    previous = None if start is None else start.left if turned else start.right
    if folding and previous is not None:
        previous = folding.fold_left(previous) if turned else folding.fold_right(previous)
    if _small(matrix, stopping):
        ritz = dense_svd(matrix, stopping.rank)
    elif matrix.symmetric:
        first = _first(matrix, previous, block, generator)
        ritz = lanczos(matrix, first, stopping, generator)
        signs = torch.from_numpy(np.where(ritz.values < 0, -1, 1)).to(ritz.left)
        ritz = replace(ritz, values=np.abs(ritz.values), left=ritz.left * signs)
    else:
        first = _first(matrix, previous, block, generator)
        if folding and previous is None:
            first *= torch.from_numpy(folding.squares(0 if turned else 1))[:, None].to(first)
        ritz = golub_kahan(matrix, first, stopping, generator)
    if turned:
        ritz = replace(ritz, left=ritz.right, right=ritz.left)
    if folding:
        unfolded = folding.unfold_left(ritz.left.cpu().numpy())
        ritz = replace(ritz, left=torch.from_numpy(unfolded))
        unfolded = folding.unfold_right(ritz.right.cpu().numpy())
        ritz = replace(ritz, right=torch.from_numpy(unfolded))
    values, left, right, report = _finished(ritz, operator.energy)
    return TruncatedSvd(left, values, right, report)


def symmetric_eigen(
    operator: SparsePlusLowRank | Products,
    rank: int,
    generator: np.random.Generator,
    *,
    tolerance: float = TOLERANCE,
    energy: float | None = None,
    columns: int | None = None,
    positive: bool = False,
    block: int = BLOCK,
    start: TruncatedEigen | None = None,
    device: torch.device = _CPU,
) -> TruncatedEigen:
    """The ``rank`` eigenpairs of largest modulus of a symmetric operator.

    With ``positive`` the largest ones instead, from the top down; some are not positive where
    the operator has fewer that are. Arguments, cost and errors as of :func:`truncated_svd`; the
    largest entry of each vector is positive.

    Raises:
        NumericalError: a NaN or infinity came out.
        ValueError: the operator does not call itself symmetric.
    """
    matrix = _placed(operator, device)
    if not matrix.symmetric:
        raise ValueError("eigenpairs are found of operators declared symmetric")
    stopping = _stopping(matrix, rank, tolerance, energy, columns, block)
    stopping = replace(stopping, positive=positive)
    previous = None if start is None else start.vectors
    if _small(matrix, stopping):
        ritz = dense_eigen(matrix, stopping)
    else:
        ritz = lanczos(matrix, _first(matrix, previous, block, generator), stopping, generator)
    values, vectors, _, report = _finished(ritz, matrix.energy)
    return TruncatedEigen(values, vectors, report)


class _Transposed:
    """The transpose of an operator."""

    def __init__(self, matrix: Products) -> None:
        self.shape = matrix.shape[::-1]
        self.symmetric, self.energy, self.device = matrix.symmetric, matrix.energy, matrix.device
        self.apply, self.adjoint = matrix.adjoint, matrix.apply


def _placed(operator: SparsePlusLowRank | Products, device: torch.device) -> Products:
    return SparseProducts(operator, device) if isinstance(operator, SparsePlusLowRank) else operator


def _stopping(
    matrix: Products,
    rank: int,
    tolerance: float,
    energy: float | None,
    columns: int | None,
    block: int,
) -> Stopping:
    if rank < 1 or block < 1:
        raise ValueError("rank and block are at least 1")
    short = min(matrix.shape)
    rank = min(rank, short)
    cap = 6 * rank + 400 if columns is None else max(columns, rank)
    return Stopping(rank, block, tolerance, energy, min(cap, short))


def _first(
    matrix: Products, previous: Floats | None, block: int, generator: np.random.Generator
) -> Tensor:
    """The first block: random columns, after those of an earlier result."""
    length = matrix.shape[1]
    drawn = generator.standard_normal((length, min(block, length)), dtype=np.float32)
    if previous is None:
        return torch.from_numpy(drawn).to(matrix.device)
    if len(previous) != length:
        raise ValueError(f"the start has {len(previous)} rows against {length}")
    first = np.concatenate((previous, drawn / np.sqrt(np.float32(length))), axis=1)
    return torch.from_numpy(first[:, :length]).to(matrix.device)


def _small(matrix: Products, stopping: Stopping) -> bool:
    """Whether all columns of the short side are fewer than a Krylov basis would take."""
    return min(matrix.shape) <= stopping.rank + 8 * stopping.block


def _finished(ritz: Ritz, energy: float | None) -> tuple[Floats, Floats, Floats, FactorReport]:
    """Values, left and right vectors in float32 with signs fixed, without what is only noise."""
    sizes = np.abs(ritz.values)
    if not np.isfinite(sizes).all():
        raise NumericalError("the factorisation gave NaN or infinity")
    kept = max(1, int(np.count_nonzero(sizes > _NEGLIGIBLE * sizes[0])))
    left, right = ritz.left[:, :kept], ritz.right[:, :kept]
    # extremes and in place: no copy of what may be gigabytes
    signs = torch.where(left.amax(0) < -left.amin(0), -1.0, 1.0)
    left.mul_(signs)
    if ritz.right is not ritz.left:
        right.mul_(signs)
    share = None
    if energy is not None:
        share = float((sizes[:kept] ** 2).sum()) / energy if energy else 1.0
    report = FactorReport(
        residuals=tuple(ritz.residuals[:kept].tolist()),
        energy=share,
        products=ritz.products,
        columns=ritz.columns,
        converged=ritz.converged,
    )
    values = ritz.values[:kept].astype(np.float32)
    return values, left.cpu().numpy(), right.cpu().numpy(), report
