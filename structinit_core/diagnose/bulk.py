"""The Marchenko–Pastur law of a random matrix, fitted to a spectrum: edge, spikes, distance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from structinit_core.diagnose.spectrum import Spectrum

_NODES = 4096
_NEAR_EDGE = 1.1
_TRACY_WIDOM_99 = 2.0234
"""The 99 % point of the Tracy–Widom law of order 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bulk:
    """A fitted Marchenko–Pastur law, in units of the spectrum's squares.

    sigma: standard deviation of the entries that would give this bulk; edge: where it ends,
    σ²(√N + √M)²; spikes: values beyond the edge by more than the largest of a random matrix
    is in 99 of 100 draws; distance: Kolmogorov's, of all values from the law, ``None`` where
    not all are known.
    """

    sigma: float
    edge: float
    spikes: int
    distance: float | None


def fit_bulk(found: Spectrum) -> Bulk | None:
    """The law whose mean is that of the spectrum's bulk.

    The bulk ends 10 % beyond the edge of the law with the spectrum's median: up to half of the
    values may be spikes, and the mean, which varies less from draw to draw, still counts none
    but the nearest. Where only leading values are known it is the mean of all.
    ``None`` where the median is zero: the rank is below half. The law is of independent
    entries of mean zero and one variance, whatever their distribution (Marchenko & Pastur
    1967); the margin of the edge is Johnstone's (Ann. Stat. 2001, theorem 1.1). Cost: none
    beside the spectrum.
    """
    long, short, squares = found.long, found.short, found.squares
    ratio = short / long
    places, share = _law(ratio)
    unit = found.energy / short
    if found.exact:
        median = float(np.median(squares)) / float(np.interp(0.5, share, places))
        bulk = squares[squares <= _NEAR_EDGE * median * places[-1]]
        unit = float(bulk.mean()) if median > 0 else 0.0
    if not unit > 0:
        return None
    spread = np.sqrt(long) + np.sqrt(short)
    edge = unit * places[-1]
    margin = unit / long * spread * (1 / np.sqrt(long) + 1 / np.sqrt(short)) ** (1 / 3)
    spikes = int(np.count_nonzero(squares > edge + _TRACY_WIDOM_99 * margin))
    distance = None
    if found.exact:
        lawful = np.interp(squares / unit, places, share)
        steps = np.arange(short + 1) / short
        distance = float(max(np.max(steps[1:] - lawful), np.max(lawful - steps[:-1])))
    return Bulk(float(np.sqrt(unit / long)), float(edge), spikes, distance)


@lru_cache(maxsize=64)
def _law(ratio: float) -> tuple[Floats, Floats]:
    """Places from edge to edge, and the share of the law below each, for σ²·N = 1.

    With x = 1 + c − 2√c·cos θ the density is (2/π)·sin²θ/x per θ, smooth to both edges.
    """
    angles = np.linspace(0, np.pi, _NODES + 1)
    places = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(angles)
    middle = (angles[1:] + angles[:-1]) / 2
    density = np.sin(middle) ** 2 / (1 + ratio - 2 * np.sqrt(ratio) * np.cos(middle))
    share = np.concatenate(([0.0], np.cumsum(density)))
    return places, share / share[-1]
