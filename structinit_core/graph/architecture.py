"""The published formulas for a transformer's depth and size from a graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPSILON = 0.01
CONTRACTIONS = (0.001, 0.999)
"""Between these κ is kept, as published."""
DEPTHS = (4, 512)
"""Between these L* is kept, as published."""


@dataclass(frozen=True)
class Depth:
    """L* = diameter·steps, and ``clamped`` between :data:`DEPTHS`.

    contraction: κ within :data:`CONTRACTIONS`; steps: ⌈ln(1/ε)/ln(1/κ)⌉.
    """

    contraction: float
    steps: int
    layers: int
    clamped: int


def stated_rate(damping: float, gap: float) -> float:
    """κ = α·(1 − λ₂), which cannot exceed α.

    The published .851 for α = .85 is an error, and a walk along directed links does not mix at
    the rate of the undirected Laplacian: the observed contraction is the better number.
    """
    return damping * (1 - gap)


def depth(diameter: int, contraction: float, epsilon: float = EPSILON) -> Depth:
    """L* of the seed: the diameter times the steps in which κ shrinks an error to ``epsilon``.

    It multiplies two notions of depth, each of which alone would do, and its authors cap it
    at 12: a number to compare with, not to build. Source: the seeds' origins 1, errors 12, 13.
    """
    kept = min(max(contraction, CONTRACTIONS[0]), CONTRACTIONS[1])
    steps = math.ceil(math.log(1 / epsilon) / math.log(1 / kept))
    layers = diameter * steps
    return Depth(kept, steps, layers, min(max(layers, DEPTHS[0]), DEPTHS[1]))


def vocabulary(particles: int, relations: int) -> int:
    """Tokens: one of each particle, and of each relation one forward and one inverse."""
    return particles + 2 * relations


def parameters(vocabulary: int, width: int, layers: int, *, tied: bool) -> int:
    """Parameters of a llama: V·d for each table, 12·d² + 2·d a layer, d for the last norm.

    12·d² are four projections of attention and a gated MLP of inner width 8·d/3. ``tied``: one
    table serves as embedding and as head; a graph has two kinds of factors and needs both.
    """
    return vocabulary * width * (1 if tied else 2) + layers * (12 * width**2 + 2 * width) + width
