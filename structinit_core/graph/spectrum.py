"""Spectral gap of a graph's largest component, and the effective rank of its links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from structinit_core.graph.graph import Graph
from structinit_core.linalg import generator, sparse_operator, truncated_svd

Floats = NDArray[np.float64]
Weighting = Literal["focus", "rows", "none"]

VALUES = 100
"""Singular values by default: as many as the published effective ranks were taken from."""
RESTARTS = 100
"""Restarts after which an eigenvalue is given up: about a thousand products."""
_TOLERANCE = 1e-5
_VALUE_TOLERANCE = 1e-2
_VALUE_ENERGY = 1e-3
_DENSE = 40


@dataclass(frozen=True)
class Gap:
    """λ₂ of the normalised Laplacian of a connected graph.

    value: the Rayleigh quotient of the vector found, so λ₂ is no larger; residual: some
    eigenvalue lies within this of it.
    """

    value: float
    residual: float


@dataclass(frozen=True)
class SingularValues:
    """Leading singular values, descending, and the share of Σσ² that lies beyond them."""

    values: tuple[float, ...]
    tail: float
    residual: float

    @property
    def effective_rank(self) -> float:
        """Exp of the entropy of σ/Σσ over these values."""
        return _perplexity(np.array(self.values))

    @property
    def effective_rank_squared(self) -> float:
        """Exp of the entropy of σ²/Σσ² over these values."""
        return _perplexity(np.square(self.values))


def spectral_gap(both: sp.csr_array, restarts: int = RESTARTS) -> Gap | None:
    """λ₂ of I − D^(−½)·W·D^(−½) by Lanczos with restarts, in float64.

    ``None`` of fewer than two particles, or where so many restarts did not suffice. both: W,
    symmetric CSR (n, n) with positive row sums, of one connected component: of several λ₂ is 0.
    The eigenvector of eigenvalue 0, D^½·1, is taken out first. Cost: O(nnz + 40·n) for each of
    about 10 products a restart, memory 16·nnz + 200·n bytes. Deterministic up to the BLAS.
    """
    if both.shape[0] < 2:
        return None
    root = np.sqrt(np.asarray(both.sum(axis=1), np.float64))
    scaled = sp.csr_array(sp.diags_array(1 / root) @ both @ sp.diags_array(1 / root))
    trivial = root / np.linalg.norm(root)

    def deflated(vector: Floats) -> Floats:
        # twice: its eigenvalue becomes -1, below all others
        product: Floats = scaled @ vector - 2 * (trivial @ vector) * trivial
        return product

    vector = _leading(deflated, both.shape[0], "spectral gap", restarts)
    if vector is None:
        return None
    vector -= trivial * (trivial @ vector)
    vector /= np.linalg.norm(vector)
    after = scaled @ vector
    value = float(vector @ after)
    return Gap(1 - value, float(np.linalg.norm(after - value * vector)))


def singular_values(
    graph: Graph, focus: Floats, count: int = VALUES, weighting: Weighting = "focus"
) -> SingularValues:
    """The ``count`` leading singular values of the links' weighted adjacency A (P, P).

    weighting: of diag(√φ)·A·diag(√φ) ("focus"), diag(√φ)·A ("rows") or A ("none"), where φ is
    ``focus`` (P,) times P. Computed until their energy
    grows by less than a thousandth, from at most 2·count + 40 columns. Cost and memory of
    :func:`~structinit_core.linalg.truncated_svd`: O(count·(E + P·count)) and 8·P·count bytes,
    P counting those with links. Deterministic up to the BLAS. Source: the four published
    versions, see the seeds' origins 1.
    """
    if not len(graph):
        return SingularValues((), 0.0, 0.0)
    root = np.sqrt(focus * len(focus))
    weight = graph.weight.copy()
    if weighting != "none":
        weight *= root[graph.subject]
    if weighting == "focus":
        weight *= root[graph.object]
    # squares of stakes may be beyond float32
    largest = float(weight.max())
    weight /= largest
    # without the vectors of empty lines, which nobody asks for
    sources, subject = _numbered(graph.subject, len(focus))
    targets, object_ = _numbered(graph.object, len(focus))
    matrix = sp.csr_array((weight, (subject, object_)), shape=(sources, targets))
    operator = sparse_operator(matrix)
    svd = truncated_svd(
        operator,
        count,
        generator(0, "singular values"),
        tolerance=_VALUE_TOLERANCE,
        energy=_VALUE_ENERGY,
        columns=2 * count + 40,
    )
    values = svd.values.astype(np.float64)
    tail = max(0.0, 1 - float(values @ values) / operator.energy)
    return SingularValues(tuple((values * largest).tolist()), tail, svd.report.residual)


def laplacian_norm(both: sp.csr_array, restarts: int = RESTARTS) -> float | None:
    """‖L‖, the largest eigenvalue of the Laplacian diag(W·1) − W; ``None`` as there.

    both: W, symmetric CSR (n, n). Cost as of :func:`spectral_gap`, with few restarts: of a graph
    with hubs it stands well apart. Deterministic up to the BLAS.
    """
    if both.shape[0] < 2:
        return None
    degree = np.asarray(both.sum(axis=1), np.float64)

    largest = float(degree.max())

    def laplacian(vector: Floats) -> Floats:
        product: Floats = (degree / largest) * vector - (both @ vector) / largest
        return product

    vector = _leading(laplacian, both.shape[0], "laplacian norm", restarts)
    return None if vector is None else float(vector @ laplacian(vector)) * largest


def _leading(
    product: Callable[[Floats], Floats], size: int, name: str, restarts: int
) -> Floats | None:
    """The eigenvector of the largest eigenvalue of a symmetric matrix: float64 (size,)."""
    start = generator(0, name).standard_normal(size)
    if size <= _DENSE:
        matrix = np.stack([product(unit) for unit in np.eye(size)])
        return np.linalg.eigh((matrix + matrix.T) / 2)[1][:, -1]
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        found = eigsh(operator, 1, which="LA", v0=start, ncv=20, tol=_TOLERANCE, maxiter=restarts)
    except ArpackNoConvergence:
        return None
    vector: Floats = found[1][:, 0]
    return vector


def _perplexity(masses: Floats) -> float:
    """Exp of the entropy of masses (n,) divided by their sum; 0 of none."""
    total = masses.sum()
    if not total > 0:
        return 0.0
    shares = masses[masses > 0] / total
    return float(np.exp(-(shares @ np.log(shares))))


def _numbered(ends: NDArray[np.int32], size: int) -> tuple[int, NDArray[np.int32]]:
    """How many particles occur, and ``ends`` numbered among these alone."""
    occurs = np.zeros(size, np.bool_)
    occurs[ends] = True
    number = np.cumsum(occurs, dtype=np.int32) - 1
    return int(np.count_nonzero(occurs)), number[ends]
