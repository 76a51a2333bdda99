"""The heavy tail of a spectrum: a power law by maximum likelihood, and whether to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 50
"""Eigenvalues that a fit needs (WeightWatcher's advice)."""
_BLOCK = 1 << 20
_LILLIEFORS = 1.094
"""D·√n above this rejects an exponential of fitted rate at 5 % (Lilliefors 1969): the logarithm
of a power law is one."""
_EQUAL = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tail:
    """p(x) ∝ x^−alpha from ``xmin`` on, in WeightWatcher's terms.

    ``D`` is the largest difference of the fitted distribution from j/n at the tail's j-th
    value (counted from 0), ``spikes`` the n values of the tail, ``sigma`` = (alpha − 1)/√n.
    """

    alpha: float
    D: float
    sigma: float
    xmin: float
    xmax: float
    spikes: int

    @property
    def rejected(self) -> bool:
        """Whether a power law would give so large a D in less than 5 of 100 draws."""
        return self.D * math.sqrt(self.spikes) > _LILLIEFORS


def fit_tail(squares: Floats) -> Tail | None:
    """The power law from the ``xmin`` among positive ascending values where D is smallest.

    Clauset, Shalizi & Newman 2009, equations 3.1 and 3.9, as ``powerlaw`` and WeightWatcher
    compute it. ``None`` where there are fewer than :data:`FEWEST` values, or all are equal.
    Cost: n²/2 exponentials.
    """
    count = len(squares)
    if count < FEWEST or squares[-1] <= squares[0] * (1 + _EQUAL):
        return None
    logs = np.log(squares)
    sizes = np.arange(count, 0, -1, dtype=np.float64)
    excess = np.cumsum(logs[::-1])[::-1] - sizes * logs
    starts = np.flatnonzero(excess[:-1] > _EQUAL * sizes[:-1])
    rates = sizes[starts] / excess[starts]
    distances = np.empty(len(starts))
    step = max(1, _BLOCK // count)
    for low in range(0, len(starts), step):
        some = slice(low, low + step)
        distances[some] = _distances(logs, starts[some], rates[some])
    best = int(np.argmin(distances))
    start, rate = int(starts[best]), float(rates[best])
    tail = count - start
    return Tail(
        alpha=1 + rate,
        D=float(distances[best]),
        sigma=rate / tail**0.5,
        xmin=float(squares[start]),
        xmax=float(squares[-1]),
        spikes=tail,
    )


def _distances(logs: Floats, starts: NDArray[np.int64], rates: Floats) -> Floats:
    """D of the tails from ``starts`` on, one row of the triangle each."""
    first = int(starts[0])
    above = np.maximum(logs[None, first:] - logs[starts, None], 0.0)
    place = np.arange(first, len(logs))[None, :] - starts[:, None]
    fitted = -np.expm1(-rates[:, None] * above)
    gaps = np.abs(fitted - place / (len(logs) - starts)[:, None])
    gaps[place < 0] = 0.0
    distances: Floats = gaps.max(axis=1)
    return distances
