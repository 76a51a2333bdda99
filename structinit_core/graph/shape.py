"""How links and focus are spread: degrees, entropy, concentration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.graph import Graph

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Degrees:
    """Links per particle that has any on that side: mean, median and largest; and how many do."""

    mean: float
    median: float
    largest: int
    particles: int


@dataclass(frozen=True)
class Concentration:
    """How unequally an amount is held. gini: 0 of equal parts, towards 1 where one holds all.

    top: share of the largest; top_five: of the five largest together; holders: of how many.
    """

    gini: float
    top: float
    top_five: float
    holders: int


def degrees(graph: Graph) -> tuple[Degrees, Degrees]:
    """Out-degrees and in-degrees in distinct links, weights apart. O(P + E)."""
    size = len(graph.particles)
    out, into = (
        _degrees(np.bincount(ends, minlength=size)) for ends in (graph.subject, graph.object)
    )
    return out, into


def never_a_source(graph: Graph) -> float | None:
    """Share of the linked particles that no link starts at; ``None`` without a link. O(P + E)."""
    size = len(graph.particles)
    sources = np.zeros(size, np.bool_)
    sources[graph.subject] = True
    linked = sources.copy()
    linked[graph.object] = True
    count = int(np.count_nonzero(linked))
    return 1 - int(np.count_nonzero(sources)) / count if count else None


def entropy_bits(shares: Floats) -> float:
    """Entropy −Σ p·log₂ p of a distribution (n,), in bits; at most log₂ n."""
    positive = shares[shares > 0]
    # the sum may be -0.0
    return max(0.0, -float(positive @ np.log2(positive)))


def concentration(amounts: Floats) -> Concentration | None:
    """Gini coefficient and top shares of amounts (n,) ≥ 0; ``None`` where they sum to 0.

    Gini = Σ (2i − n − 1)·x_i / (n·Σx) with x ascending, i from 1. O(n·log n).
    """
    ordered = np.sort(amounts)
    size, total = len(ordered), float(ordered.sum())
    if not total > 0:
        return None
    ranks = 2 * np.arange(1, size + 1) - size - 1
    gini = float(ranks @ ordered) / (size * total)
    return Concentration(gini, float(ordered[-1]) / total, float(ordered[-5:].sum()) / total, size)


def neuron_weight(graph: Graph) -> Floats:
    """Weight of the links that each neuron was the first to say: float64 (neurons,). O(E)."""
    named = graph.neuron >= 0
    sums = np.bincount(graph.neuron[named], graph.weight[named], len(graph.neurons))
    return sums.astype(np.float64, copy=False)


def _degrees(counts: NDArray[np.int64]) -> Degrees:
    positive = counts[counts > 0]
    if not len(positive):
        return Degrees(0.0, 0.0, 0, 0)
    return Degrees(
        float(positive.mean()), float(np.median(positive)), int(positive.max()), len(positive)
    )
