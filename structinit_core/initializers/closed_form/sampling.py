"""Samples with unequal chances: the heavy items for certain, the others in proportion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Distinct items, ascending int64 (n,), and the chance π of each to be drawn, float64 (n,).

    Σ over the sample of f(i)/π_i estimates Σ f(i) over all items without bias.
    """

    items: NDArray[np.int64]
    chance: Floats

    def certain_share(self, mass: NDArray[Any]) -> float:
        """Share of the (V,) ``mass`` that is taken exactly."""
        return float(mass[self.items[self.chance == 1]].sum() / mass.sum())

    def weights(self, mass: NDArray[Any]) -> Floats:
        """What each item stands for, float64 (n,): its mass/π, and in all the whole of ``mass``.

        Those drawn are scaled to the mass that is not certain (a ratio estimate); chances in
        proportion to the mass make that scale 1.
        """
        weights: Floats = np.asarray(mass, np.float64)[self.items] / self.chance
        drawn = self.chance < 1
        if drawn.any():
            rest = float(mass.sum(dtype=np.float64)) - float(weights[~drawn].sum())
            weights[drawn] *= rest / weights[drawn].sum()
        return weights


def chances(mass: NDArray[Any], size: int) -> Floats:
    """Chances proportional to ``mass`` > 0, at most 1, that sum to ``size``: float64 (V,).

    All ones where ``size`` is at least V. For estimates whose terms are about proportional to
    the mass no other chances have a smaller variance (Hansen & Hurwitz 1943).
    """
    if size >= len(mass):
        return np.ones(len(mass))
    order = np.argsort(-np.asarray(mass, np.float64), kind="stable")
    descending = np.asarray(mass, np.float64)[order]
    remaining = np.cumsum(descending[::-1])[::-1]
    left = size - np.arange(len(mass))
    certain = int(np.argmax(left * descending < remaining))
    result = np.ones(len(mass))
    result[order[certain:]] = left[certain] * descending[certain:] / remaining[certain]
    return result


def draw(chance: Floats, generator: np.random.Generator) -> Sample:
    """A sample of fixed size, every item with its chance: systematic, in a random order.

    The chances below 1 sum to a whole number, as those of :func:`chances` do. Source: Hartley
    & Rao 1962.
    """
    certain = np.flatnonzero(chance >= 1)
    order = generator.permutation(np.flatnonzero(chance < 1))
    edges = np.cumsum(chance[order])
    size = round(float(edges[-1])) if len(order) else 0
    at = np.searchsorted(edges, generator.random() + np.arange(size), side="right")
    items = np.sort(np.concatenate((certain, order[np.minimum(at, len(order) - 1)])))
    return Sample(items.astype(np.int64), np.minimum(chance[items], 1.0))
