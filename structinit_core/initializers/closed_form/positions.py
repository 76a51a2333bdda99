"""Where a head looks: waves whose sum over distances has one sharp peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, linprog, minimize
from scipy.special import logsumexp

from structinit_core.errors import NumericalError
from structinit_core.linalg import generator

LARGEST_LOGIT = 40.0
"""No score of a head is above it: what is sharper learns nothing and rounds badly."""
OTHERS = 0.1
"""Attention to all other tokens together, over that to the one looked at, where there is room."""
_CANDIDATES = 4000
_SEARCH_ELEMENTS = 1 << 25
_SLOWEST = 0.02
_DISTANCES_AT_ONCE = 256
_NEGLIGIBLE = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Beam:
    """score(Δ) = Σ_j a_j·cos(ω_j·(Δ − lag)) of the token Δ back, largest at the lag.

    frequencies ω and amplitudes a ≥ 0: float64 (m,).
    """

    frequencies: Floats
    amplitudes: Floats

    def others(self, reach: int, lag: int) -> float:
        """Attention to all other tokens over that to the one ``lag`` back; ``reach`` are seen."""
        distances = np.arange(reach) - lag
        lost = _losses(self.frequencies, distances[distances != 0]) @ self.amplitudes
        return float(np.exp(-lost).sum())

    def turned(self, lag: int) -> Floats:
        """Cosine and sine entries of a query for ``lag``, before rotation; of a key for 0."""
        root, angles = np.sqrt(self.amplitudes), lag * self.frequencies
        return np.stack((root * np.cos(angles), -root * np.sin(angles)))


def beam(frequencies: Floats, reach: int, lag: int, pairs: int, others: float = OTHERS) -> Beam:
    """The narrowest beam of at most ``pairs`` of the waves, for lags up to ``lag``.

    Amplitudes start in the proportion of :func:`shares`, are moved to where the others get
    least attention for the same score at the lag, and sum to what leaves ``others`` to the
    other ``reach`` tokens that are seen, or to :data:`LARGEST_LOGIT`.

    Raises:
        NumericalError: the linear programme has no solution.
    """
    used = np.arange(len(frequencies))
    found = _narrow(frequencies, reach, lag, others)
    if np.count_nonzero(found) > pairs:
        used = np.sort(np.argsort(-found, kind="stable")[:pairs])
        found = _narrow(frequencies[used], reach, lag, others)
    amplitudes = np.zeros_like(frequencies)
    amplitudes[used] = found
    return Beam(frequencies, amplitudes)


def _narrow(frequencies: Floats, reach: int, lag: int, others: float) -> Floats:
    """The amplitudes of :func:`beam` for all of the waves."""
    distances = np.arange(reach) - lag
    losses = _losses(frequencies, distances[distances != 0])
    found = _sharp(losses, shares(frequencies, reach), others)
    return _sharp(losses, _least_others(losses, found), others)


def _sharp(losses: Floats, shares: Floats, others: float) -> Floats:
    """Amplitudes in that proportion that leave ``others`` to the other distances."""
    lost = losses @ shares / shares.sum()

    def excess(peak: float) -> float:
        return float(logsumexp(-peak * lost) - np.log(others))

    sharp = excess(LARGEST_LOGIT) < 0
    peak = brentq(excess, 0.0, LARGEST_LOGIT) if sharp else LARGEST_LOGIT
    amplitudes: Floats = shares * (peak / shares.sum())
    return amplitudes


def _least_others(losses: Floats, start: Floats) -> Floats:
    """Amplitudes ≥ 0 with the sum of ``start`` that leave least attention to other distances.

    A smooth convex problem in a few variables: sequential least squares (Kraft 1988).
    """
    peak = start.sum()

    def attention(amplitudes: Floats) -> tuple[float, Floats]:
        lost = losses @ amplitudes
        total = logsumexp(-lost)
        return float(total), -(np.exp(-lost - total) @ losses)

    solution = minimize(
        attention,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0, None)] * len(start),
        constraints={
            "type": "eq",
            "fun": lambda amplitudes: amplitudes.sum() - peak,
            "jac": np.ones_like,
        },
    )
    found: Floats = np.where(solution.x > _NEGLIGIBLE * peak, solution.x, 0.0)
    found *= peak / max(found.sum(), _NEGLIGIBLE)
    return found if attention(found)[0] < attention(start)[0] else start


def shares(frequencies: Floats, reach: int) -> Floats:
    """Amplitudes ≥ 0 of sum 1 whose peak stands out most from every other distance below reach.

    The linear programme max s: Σ_j a_j·(1 − cos ω_j·δ) ≥ s for all δ (closed-form note 3.4),
    with the distances that bind found in turn. float64 (m,).

    Raises:
        NumericalError: it has no solution.
    """
    count, distances = len(frequencies), np.arange(1, max(2, reach))
    losses = _losses(frequencies, distances)
    bound = np.zeros(len(distances), bool)
    bound[:_DISTANCES_AT_ONCE] = True
    while True:
        rows = np.concatenate((-losses[bound], np.ones((bound.sum(), 1))), axis=1)
        solution = linprog(
            np.append(np.zeros(count), -1.0),
            A_ub=rows,
            b_ub=np.zeros(len(rows)),
            A_eq=[[1.0] * count + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * (count + 1),
            method="highs",
        )
        if solution.x is None:
            raise NumericalError("no amplitudes for the offset heads", hint=solution.message)
        found: Floats = np.where(solution.x[:-1] > _NEGLIGIBLE, solution.x[:-1], 0.0)
        below = losses @ found
        missed = (below < solution.x[-1] - _NEGLIGIBLE) & ~bound
        if not missed.any():
            found /= found.sum()
            return found
        worst = np.argsort(np.where(missed, below, np.inf), kind="stable")[:_DISTANCES_AT_ONCE]
        bound[worst[missed[worst]]] = True


def frequencies(pairs: int, context: int, seed: int) -> Floats:
    """Angular frequencies in (0.02, π), ascending, that tell positions apart: float64 (pairs,).

    Of 4,000 random draws (fewer for long contexts) the one with the smallest
    :func:`side_lobe`. Source: closed-form prototype, section 3.
    """
    draw = generator(seed, "closed-form", "frequencies")
    candidates = max(1, min(_CANDIDATES, _SEARCH_ELEMENTS // (pairs * context)))
    drawn = np.sort(draw.uniform(_SLOWEST, np.pi, (candidates, pairs)), axis=1)
    best: Floats = drawn[np.argmin([side_lobe(each, context) for each in drawn])]
    return best


def side_lobe(frequencies: Floats, context: int) -> float:
    """The largest cosine between the codes of two different positions in the context."""
    distances = np.arange(1, max(2, context))
    return float(np.cos(np.outer(distances, frequencies)).mean(axis=1).max())


def turned(into: Floats, frequencies: Floats, lag: int) -> Floats:
    """Coordinates in which position t reads as position t − ``lag`` does in ``into``: (d, 2m)."""
    cosine, sine = np.split(into, 2, axis=1)
    c, s = np.cos(lag * frequencies), np.sin(lag * frequencies)
    return np.concatenate((cosine * c + sine * s, sine * c - cosine * s), axis=1)


def _losses(frequencies: Floats, distances: NDArray[np.int64]) -> Floats:
    """What each wave takes off the score that far from the peak, per unit of amplitude."""
    lost: Floats = 1 - np.cos(np.outer(distances, frequencies))
    return lost
