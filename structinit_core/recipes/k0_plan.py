"""``k0 --plan``: what a kernel or embeddings will take, before anything is allocated."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_DENSE_MATRICES = 7
"""Matrices of V² float64 at the peak, which is D^ε with its transforms; 6.5 were measured."""
_BYTES_PER_COUNT = 64
"""Sum over offsets, its transpose, both added, and the operator with its products."""
_COLUMNS_PER_DIMENSION, _MORE_COLUMNS = 6, 400
"""Largest Krylov basis of linalg.symmetric_eigen."""
_BYTES_PER_CELL = 10
"""A float32 of the basis while it grows by half."""


class K0Plan(BaseModel):
    """The forecast of one ``k0`` run; bytes are upper estimates.

    ``fits``: whether ``solve_bytes`` stays within the memory that was allowed. ``multiply_adds``
    is the size of the work that may run on an accelerator.
    """

    model_config = ConfigDict(frozen=True)
    method: str
    vocabulary: int
    dimensions: int
    window: int
    counted_pairs: int
    parameters: int
    solve_bytes: int
    memory_bytes: int
    disk_bytes: int
    multiply_adds: int
    fits: bool


def plan_dense(vocabulary: int) -> tuple[int, int]:
    """Bytes and multiply-adds of ``derive`` or ``fft``: two eigensolvers of about 10·V³."""
    return _DENSE_MATRICES * 8 * vocabulary**2, 20 * vocabulary**3


def plan_power(vocabulary: int, dim: int, pairs: int) -> tuple[int, int]:
    """Bytes and multiply-adds of ``power`` on offset tables of ``pairs`` entries in all."""
    columns = min(vocabulary, _COLUMNS_PER_DIMENSION * dim + _MORE_COLUMNS)
    basis = _BYTES_PER_CELL * vocabulary * columns + 32 * columns**2
    placed = 12 * vocabulary * dim
    return _BYTES_PER_COUNT * pairs + basis + placed, columns * (2 * pairs + vocabulary * columns)
