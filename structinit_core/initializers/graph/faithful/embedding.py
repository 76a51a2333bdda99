"""Focus and embedding as published: left singular vectors of the focus-weighted links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph import Focus, Graph, pagerank, tri_kernel
from structinit_core.initializers.graph.faithful.sizes import Reach
from structinit_core.initializers.graph.faithful.versions import Version
from structinit_core.linalg import SparsePlusLowRank, generator, sparse_operator, truncated_svd

Floats = NDArray[np.float64]
_TOLERANCE, _ENERGY = 1e-2, 1e-4


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Left singular vectors (P, r), float32, and singular values (r,) of the weighted links.

    ranked: the values that d* is taken of. energy: Σσ² of all, ‖M‖².
    """

    left: NDArray[np.float32]
    values: Floats
    ranked: Floats
    energy: float

    def embedding(self, width: int, *, rooted: bool) -> NDArray[np.float32]:
        """E (P, width): U or U·√Σ; columns beyond the rank are zero."""
        kept = min(width, len(self.values))
        rows = np.zeros((len(self.left), width), np.float32)
        rows[:, :kept] = self.left[:, :kept]
        if rooted:
            rows[:, :kept] *= np.sqrt(self.values[:kept])
        return rows


def focus_of(version: Version, graph: Graph, far: Reach) -> Focus:
    """φ: PageRank; in V1 of as many steps as κ is said to need, in V2 the tri-kernel."""
    if version.name == "v1":
        return pagerank(graph, tolerance=0.0, limit=far.depth.steps)
    return tri_kernel(graph) if version.name == "v2" else pagerank(graph)


def weighted_links(version: Version, graph: Graph, focus: Floats) -> sp.csr_array:
    """M = diag(√φ)·A, and ·diag(√φ) where both sides are weighed: CSR float64 (P, P)."""
    matrix, root = graph.adjacency(), np.sqrt(focus)
    matrix.data *= np.repeat(root, np.diff(matrix.indptr))
    if version.both_sides:
        matrix.data *= root[matrix.indices]
    return matrix


def spectrum(
    version: Version, graph: Graph, focus: Floats, width: int | None, seed: int
) -> Spectrum:
    """The SVD of M, of as many values as published, or ``width`` if that is more.

    Cost of :func:`~structinit_core.linalg.truncated_svd`. Deterministic up to the BLAS.
    """
    matrix = weighted_links(version, graph, focus)
    rank = max(version.singular_values, width or 0)
    left, values = _svd(sparse_operator(_unit(matrix)), rank, seed)
    scale = _largest(matrix)
    values *= scale
    ranked = values[: version.singular_values]
    if version.name == "v2":
        ranked = _covariance_values(graph, focus, version.singular_values, seed)
    return Spectrum(left, values, ranked, float(matrix.data @ matrix.data))


def columns(rank: int) -> int:
    """Columns of a basis for that many triplets."""
    return rank + rank // 4 + 40


def _svd(operator: SparsePlusLowRank, rank: int, seed: int) -> tuple[NDArray[np.float32], Floats]:
    found = truncated_svd(
        operator,
        min(rank, operator.shape[0]),
        generator(seed, "graph", "faithful"),
        tolerance=_TOLERANCE,
        energy=_ENERGY,
        columns=columns(rank),
    )
    return found.left, found.values.astype(np.float64)


def _covariance_values(graph: Graph, focus: Floats, count: int, seed: int) -> Floats:
    """Eigenvalues of the covariance of A's rows under φ: σ² of diag(√φ)·(A − 1·μᵀ)."""
    matrix = _unit(graph.adjacency())
    plain, root = sparse_operator(matrix), np.sqrt(focus)
    ones, mean = np.ones(len(focus)), matrix.T @ focus
    centred = SparsePlusLowRank(
        plain.sparse,
        plain.transposed,
        ones[:, None].astype(np.float32),
        mean[:, None].astype(np.float32),
    )
    values = _svd(centred.scaled(root, ones), count, seed)[1]
    squares: Floats = values**2
    return squares


def _largest(matrix: sp.csr_array) -> float:
    return float(matrix.data.max(initial=0.0)) or 1.0


def _unit(matrix: sp.csr_array) -> sp.csr_array:
    """Over its largest entry: squares of stakes may be beyond float32."""
    return matrix / _largest(matrix)
