"""Attention as published: queries, keys, values and outputs of one head for each relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.initializers.graph.faithful.versions import Version
from structinit_core.linalg import generator, sparse_operator, truncated_svd

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-6
"""Share of the largest singular value below which the pseudo-inverse takes one for zero."""


@dataclass(frozen=True, eq=False)
class Attention:
    """The maps of one layer for row vectors, float64 (d, d), heads side by side.

    query, key, value: columns by head; output: rows by head. projections: what each head's
    scores stand for, EᵀA_sᵏE; empty where heads factor A_s itself.
    """

    query: Floats
    key: Floats
    value: Floats
    output: Floats
    projections: tuple[Floats, ...]


def attention(
    version: Version,
    links: Sequence[sp.csr_array],
    rows: Floats,
    focus: Floats,
    power: int,
    heads: int,
    seed: int,
) -> Attention:
    """The attention of a layer that sees ``power`` hops.

    links: A_s of the relation of each head, CSR (P, P); heads beyond them are zero. rows: E
    (P, d). Cost: O(power·E·d + heads·(P·d² + d³)), memory 3·P·d numbers.
    """
    width = rows.shape[1]
    size = width // heads
    query, key, value = (np.zeros((width, width)) for _ in range(3))
    projections = []
    for head, matrix in enumerate(links):
        own = slice(head * size, (head + 1) * size)
        if version.projected:
            projection = projected(matrix, rows, power)
            left, values, right = signed_svd(projection)
            projections.append(projection)
        else:
            left, values, right = _own_factors(matrix, rows, size, seed)
        root = np.sqrt(values[:size])
        query[:, own][:, : len(root)] = left[:, :size] * root
        key[:, own][:, : len(root)] = right[:, :size] * root
        value[:, own] = _values(version, matrix, rows, focus, own)
    if not version.projected:
        # published over √d, the model divides by the root of a head's columns
        query *= np.sqrt(size / width)
    output: Floats = np.eye(width)
    if version.inverted:
        output = np.asarray(np.linalg.pinv(value, rcond=NEGLIGIBLE), np.float64)
    return Attention(query, key, value, output, tuple(projections))


def projected(matrix: sp.csr_array, rows: Floats, power: int = 1) -> Floats:
    """Eᵀ·A^power·E by repeated products: float64 (d, d)."""
    reached = rows
    for _ in range(power):
        reached = matrix @ reached
    found: Floats = rows.T @ reached
    return found


def signed_svd(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """U, σ, V of a small matrix, the largest entry of each left vector positive."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    signs = np.where(left.max(axis=0) < -left.min(axis=0), -1.0, 1.0)
    return left * signs, values, right.T * signs


def _own_factors(
    matrix: sp.csr_array, rows: Floats, rank: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """E⁺U, σ, E⁺V of A_s; E has orthonormal or zero columns, so E⁺ is Eᵀ."""
    if not matrix.nnz:
        none = np.zeros((rows.shape[1], 0))
        return none, np.zeros(0), none
    largest = float(matrix.data.max())
    found = truncated_svd(
        sparse_operator(matrix / largest),
        min(rank, matrix.shape[0]),
        generator(seed, "graph", "faithful", "heads"),
        tolerance=1e-2,
    )
    return rows.T @ found.left, found.values * np.float64(largest), rows.T @ found.right


def _values(
    version: Version, matrix: sp.csr_array, rows: Floats, focus: Floats, own: slice
) -> Floats:
    """The columns of W_V that a head reads: float64 (d, d_h)."""
    some = rows[:, own]
    reached = some
    if version.values == "transposed":
        reached = matrix.T @ some
    elif version.values == "retrieved":
        reached = matrix @ some
    if version.values != "transposed":
        reached = focus[:, None] * reached
    found: Floats = rows.T @ reached
    return found
