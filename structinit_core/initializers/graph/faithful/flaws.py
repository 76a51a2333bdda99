"""What is wrong with the published formulas, measured on the graph at hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph.focus import DAMPING
from structinit_core.graph.shape import entropy_bits, never_a_source
from structinit_core.initializers.graph.faithful.compile import Published
from structinit_core.initializers.graph.faithful.embedding import weighted_links
from structinit_core.initializers.graph.faithful.heads import Attention, projected
from structinit_core.initializers.graph.faithful.sizes import effective_rank

Floats = NDArray[np.float64]

RECONSTRUCTED, ATTENDED = 0.05, 0.7
"""What P-EMBED and P-ATTN are published to keep to."""
_TRUNCATIONS = (20, 50, 100, 200, 400)
_NOTHING = 1e-6
"""Share of the longest row below which one is zero."""
_PATTERN = 1 << 22
_MOST_ROWS = 512


@dataclass(frozen=True)
class Flaw:
    """One measured value. error: its number in the seeds' origins 6, 0 for none.

    least, most: what the source promises, where it does.
    """

    error: int
    name: str
    value: float | int | None
    unit: str = ""
    least: float | None = None
    most: float | None = None


def flaws(parts: Published) -> tuple[Flaw, ...]:
    """The flaws of a version on its graph, by the number of the error.

    Attention is that of the first layer, which sees the rows themselves, between any two
    particles and without rotation. Cost: O(E·d + h·(512·P + P·d²)). Deterministic.
    """
    found: list[Flaw] = []
    heads = parts.attention(1)
    for measured in (
        _rows(parts),
        _attention(parts, heads),
        _outputs(heads),
        _sizes(parts),
        _walk(parts),
    ):
        found += measured
    return tuple(found)


def reconstruction(matrix: sp.csr_array, rows: Floats) -> float:
    """‖EEᵀ − M‖/‖M‖ without either product written out."""
    inner = rows.T @ rows
    both = float((inner * inner).sum())
    across = float((rows * (matrix @ rows)).sum())
    return _relative(both - 2 * across, matrix)


def projection_error(matrix: sp.csr_array, rows: Floats, projection: Floats) -> float:
    """‖E·P·Eᵀ − A‖/‖A‖ of a (d, d) matrix P."""
    inner = rows.T @ rows
    both = float(((inner @ projection @ inner) * projection).sum())
    across = float((projection * projected(matrix, rows)).sum())
    return _relative(both - 2 * across, matrix)


def off_stochastic(matrix: sp.csr_array) -> tuple[float, float]:
    """Share of the columns of Aᵀ·diag(Aᵀ1)⁻¹ that do not sum to 1, and the largest sum.

    Of the particles that have in-links, by whose weight the published formula divides.
    """
    out, into = (np.asarray(matrix.sum(axis=axis), np.float64) for axis in (1, 0))
    linked = into > 0
    sums = out[linked] / into[linked]
    off = np.abs(sums - 1) > 1e-9
    return float(off.mean()), float(sums.max(initial=0.0))


def transition_pearson(
    parts: Published, heads: Attention, head: int, links: sp.csr_array
) -> float | None:
    """Pearson of a head's softmax over all particles with D⁻¹A_s; ``None`` where one is flat."""
    weight = np.asarray(links.sum(axis=1), np.float64)
    sources = np.flatnonzero(weight)
    many = min(len(sources), _MOST_ROWS, max(1, _PATTERN // links.shape[0]))
    if not many:
        return None
    sources = sources[np.linspace(0, len(sources) - 1, many).astype(np.int64)]
    size = parts.sizes.head_width
    own, normed = slice(head * size, (head + 1) * size), _normalised(parts)
    scores = (normed[sources] @ heads.query[:, own]) @ (normed @ heads.key[:, own]).T
    scores /= math.sqrt(size)
    pattern = np.exp(scores - scores.max(axis=1, keepdims=True))
    pattern /= pattern.sum(axis=1, keepdims=True)
    return pearson(pattern, links[sources].toarray() / weight[sources, None])


def pearson(one: Floats, other: Floats) -> float | None:
    """Correlation of the entries of two matrices; ``None`` where one is constant."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 0 else None


def _rows(parts: Published) -> Iterator[Flaw]:
    rows, graph = parts.rows.astype(np.float64), parts.graph
    matrix = weighted_links(parts.version, graph, parts.focus.values)
    norms = np.linalg.norm(rows, axis=1)
    linked = np.zeros(len(rows), np.bool_)
    linked[graph.subject] = linked[graph.object] = True
    zero = norms[linked] <= _NOTHING * norms.max(initial=0.0)
    yield Flaw(1, "zero_rows", float(zero.mean()), "share of linked particles")
    yield Flaw(1, "never_a_source", never_a_source(graph), "share of linked particles")
    error = reconstruction(matrix, rows)
    yield Flaw(2, "reconstruction", error, "of ‖M‖", most=RECONSTRUCTED)
    optimum = math.sqrt(_beyond(parts, parts.sizes.width))
    yield Flaw(2, "reconstruction.optimum", optimum, "of ‖M‖")
    whole = graph.adjacency()
    plain = projected(whole, rows)
    inverse = np.asarray(np.linalg.pinv(rows, rcond=_NOTHING).T, np.float64)
    yield Flaw(3, "projection", projection_error(whole, rows, plain), "of ‖A‖")
    best = projection_error(whole, rows, projected(whole, inverse))
    yield Flaw(3, "projection.pseudo_inverse", best, "of ‖A‖")


def _attention(parts: Published, heads: Attention) -> Iterator[Flaw]:
    size = parts.sizes.head_width
    owns = [slice(at * size, (at + 1) * size) for at in range(parts.sizes.heads)]
    fitted = [
        pearson(heads.query[:, own] @ heads.key[:, own].T, projection)
        for own, projection in zip(owns, heads.projections, strict=False)
    ]
    actual = [
        transition_pearson(parts, heads, head, links)
        for head, links in enumerate(parts.links_of_heads())
    ]
    for name, each, least in (
        ("pearson.projection", fitted, ATTENDED),
        ("pearson.transition", actual, None),
    ):
        known = [value for value in each if value is not None]
        if known:
            yield Flaw(4, f"{name}.least", min(known), "of all heads", least=least)
            yield Flaw(4, f"{name}.mean", float(np.mean(known)), "of all heads")


def _outputs(heads: Attention) -> Iterator[Flaw]:
    both = heads.value @ heads.output
    norm = float(np.linalg.norm(both))
    if not norm:
        return
    again = float(np.linalg.norm(both @ both - both)) / norm
    yield Flaw(5, "values_outputs.projector", again, "‖X² − X‖/‖X‖")
    yield Flaw(5, "values_outputs.trace", float(np.trace(both)), f"of {len(both)}")


def _sizes(parts: Published) -> Iterator[Flaw]:
    ranked, far = parts.spectrum.ranked, parts.reach
    fewer = [count for count in _TRUNCATIONS if count < len(ranked)]
    for count in (*fewer, len(ranked)):
        yield Flaw(11, f"rank.of_{count}", effective_rank(ranked[:count]), "d*")
    yield Flaw(11, "rank.tail", _beyond(parts, len(parts.spectrum.values)), "of ‖M‖²")
    yield Flaw(12, "contraction.stated", far.rate, "κ", most=DAMPING)
    yield Flaw(12, "contraction.observed", parts.focus.contraction)
    yield Flaw(12, "gap", far.gap, "λ₂")
    yield Flaw(13, "layers.published", far.depth.layers)
    yield Flaw(13, "layers.clamped", far.depth.clamped)
    yield Flaw(13, "layers.hops", far.hops)
    yield Flaw(13, "layers.steps", far.depth.steps)


def _walk(parts: Published) -> Iterator[Flaw]:
    share, largest = off_stochastic(parts.graph.adjacency())
    yield Flaw(14, "stochastic.off", share, "share of columns")
    yield Flaw(14, "stochastic.largest", largest, "1 if stochastic")
    bits = entropy_bits(parts.focus.values)
    yield Flaw(16, "entropy", bits, "bits")
    yield Flaw(16, "entropy.nats", bits * math.log(2), "nats")
    yield Flaw(16, "entropy.most", math.log2(len(parts.focus.values)), "bits")


def _beyond(parts: Published, rank: int) -> float:
    """Share of ‖M‖² that the best approximation of this rank leaves out."""
    kept, energy = parts.spectrum.values[:rank], parts.spectrum.energy
    return max(energy - float(kept @ kept), 0.0) / energy


def _normalised(parts: Published) -> Floats:
    """The rows as the first layer's attention sees them."""
    rows = parts.rows.astype(np.float64)
    if parts.version.family == "gpt2":
        rows -= rows.mean(axis=1, keepdims=True)
    epsilon = 1e-5 if parts.version.family == "gpt2" else 1e-6
    normed: Floats = rows / np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + epsilon)
    return normed


def _relative(difference: float, matrix: sp.csr_array) -> float:
    """√(difference + ‖M‖²) over ‖M‖."""
    own = float(matrix.data @ matrix.data)
    return math.sqrt(max(difference + own, 0.0) / own) if own else 0.0
