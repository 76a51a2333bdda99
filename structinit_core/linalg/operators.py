"""Sparse plus low rank as one implicit matrix: centred and scaled without densifying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.linalg.spmm import multiply

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SparsePlusLowRank:
    """The matrix ``sparse − left·rightᵀ`` of shape (m, n), known by its products only.

    sparse: CSR float32 (m, n), ``transposed`` its transpose as CSR; left (m, k), right (n, k)
    float32. One product with q columns costs O((nnz + (m+n)·k)·q). ``symmetric`` is declared
    by whoever builds it, not checked; it halves the work of a factorisation.
    """

    sparse: sp.csr_array
    transposed: sp.csr_array
    left: Floats
    right: Floats
    symmetric: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        rows, columns = self.sparse.shape
        return int(rows), int(columns)

    @property
    def energy(self) -> float:
        """The squared Frobenius norm, summed in float64; O((nnz + m + n)·k)."""
        values = self.sparse.data.astype(np.float64)
        total = float(values @ values)
        if self.left.shape[1]:
            left, right = self.left.astype(np.float64), self.right.astype(np.float64)
            across = float((left * (self.sparse @ right)).sum())
            total += float(((left.T @ left) * (right.T @ right)).sum()) - 2 * across
        return max(total, 0.0)

    def __matmul__(self, block: Floats) -> Floats:
        """The product with (n, q): float32 (m, q)."""
        product: Floats = multiply(self.sparse, block)
        product -= self.left @ (self.right.T @ block)
        return product

    def adjoint(self, block: Floats) -> Floats:
        """The product of the transpose with (m, q): float32 (n, q)."""
        product: Floats = multiply(self.transposed, block)
        product -= self.right @ (self.left.T @ block)
        return product

    def scaled(self, rows: NDArray[Any], columns: NDArray[Any]) -> SparsePlusLowRank:
        """``diag(rows)·self·diag(columns)``; symmetric only where the two are equal."""
        down, across = np.asarray(rows, np.float32), np.asarray(columns, np.float32)
        symmetric = self.symmetric and np.array_equal(down, across)
        sparse = sp.csr_array(sp.diags_array(down) @ self.sparse @ sp.diags_array(across))
        return SparsePlusLowRank(
            sparse,
            sparse if symmetric else sp.csr_array(sparse.T),
            self.left * down[:, None],
            self.right * across[:, None],
            symmetric,
        )


def sparse_operator(matrix: sp.csr_array, *, symmetric: bool = False) -> SparsePlusLowRank:
    """A sparse matrix alone as an operator; its transpose is built once, O(nnz)."""
    rows, columns = matrix.shape
    sparse = sp.csr_array(matrix, dtype=np.float32)
    transposed = sparse if symmetric else sp.csr_array(sparse.T)
    none = np.zeros((rows, 0), np.float32), np.zeros((columns, 0), np.float32)
    return SparsePlusLowRank(sparse, transposed, *none, symmetric)


def weighted_double_centred(
    matrix: sp.csr_array, row_mass: NDArray[Any], column_mass: NDArray[Any]
) -> tuple[SparsePlusLowRank, NDArray[np.float64]]:
    """D_r^½·M̃·D_c^½ as an operator, and the column means taken out of ``matrix``.

    M̃ = M − m·1ᵀ − 1·nᵀ + g with row means m = M·column_mass, column means n = Mᵀ·row_mass
    and grand mean g; both masses sum to 1. The column means are float64 (n,).
    Source: closed-form note 3.2 (double centring removes the softmax gauge and the bias).
    """
    row_means = matrix @ column_mass
    column_means = matrix.T @ row_mass
    grand = float(row_mass @ row_means)
    row_root, column_root = np.sqrt(row_mass), np.sqrt(column_mass)
    scaled = sp.diags_array(row_root) @ matrix @ sp.diags_array(column_root)
    sparse = sp.csr_array(scaled, dtype=np.float32)
    left = np.stack((row_root * row_means, row_root), axis=1)
    right = np.stack((column_root, column_root * (column_means - grand)), axis=1)
    operator = SparsePlusLowRank(
        sparse, sp.csr_array(sparse.T), left.astype(np.float32), right.astype(np.float32)
    )
    return operator, column_means
