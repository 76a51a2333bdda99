"""Focus by the tri-kernel: diffusion, springs and heat, mixed in every step."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
from scipy.special import ive

from structinit_core.errors import InputError, NumericalError
from structinit_core.graph.extrapolation import Extrapolation
from structinit_core.graph.focus import (
    DAMPING,
    LIMIT,
    Floats,
    Focus,
    median_ratio,
    out_weight,
    starting,
)
from structinit_core.graph.graph import Graph

MIX = (0.5, 0.3, 0.2)
"""Shares of diffusion, springs and heat."""
SCREENING = 1.0
HEAT_TIME = 1.0
TOLERANCE = 1e-6
_TRUNCATION = 1e-9
"""Sum of the coefficients of the heat's Chebyshev series that are left out."""


def tri_kernel(
    graph: Graph,
    *,
    mix: tuple[float, float, float] = MIX,
    damping: float = DAMPING,
    screening: float = SCREENING,
    heat_time: float = HEAT_TIME,
    tolerance: float = TOLERANCE,
    limit: int = LIMIT,
    start: Floats | None = None,
) -> Focus:
    """The fixed point of φ ← norm[λ_d·D(φ) + λ_s·S(φ) + λ_h·H(φ)], ``mix`` = (λ_d, λ_s, λ_h).

    With W = A + Aᵀ, d = W·1 and the uniform u: D is a step of PageRank (focus.py); S one Jacobi
    step of (diag(d) − W + μI)·x = μ·u, that is (μ·u + W·φ)/(μ + d), μ = ``screening``; and
    H = exp(−τ(I − W·diag(1/d))), τ = ``heat_time``, by its Chebyshev series. Particles without a
    link share one value. Stops like :func:`~structinit_core.graph.focus.pagerank`; between the
    steps the limit is extrapolated, as plain steps take hundreds to thousands. S makes the
    result depend on the unit of the weights, which D and H do not, and neither it nor the
    renormalisation lets the contraction be proven: see :func:`stated_contraction`.
    Cost: O(P + E) to begin with, about 20·E multiplications a step (τ = 1), memory
    60·E + 250·P bytes. Deterministic. Source: the tri-kernel of the seeds' origins 1.3 with its
    constants; the normalised Laplacian in H is that of its newest reference code.

    Raises:
        InputError: as there.
        NumericalError: as there.
        ValueError: ``mix`` is not of three shares that add up to 1, or ``screening`` is 0.
    """
    if min(mix) < 0 or not math.isclose(sum(mix), 1) or screening <= 0 or heat_time < 0:
        raise ValueError("the mix sums to 1, the screening is positive, the heat time is not < 0")
    count = len(graph.particles)
    if not count:
        raise InputError("the graph has no particle", hint="give at least one link")
    out = out_weight(graph)
    degrees = out + np.bincount(graph.object, graph.weight, count)
    if not np.isfinite(degrees).all():
        raise NumericalError("the weights of the links overflow", hint="scale them down")
    # hubs first: what most rows read lies together
    linked = np.flatnonzero(degrees)
    linked = linked[np.argsort(-degrees[linked], kind="stable")]
    row = np.zeros(count, np.int32)
    row[linked] = np.arange(len(linked), dtype=np.int32)
    subject, object_ = row[graph.subject], row[graph.object]
    shape = (len(linked), len(linked))
    share = damping * graph.weight / out[graph.subject]
    walk = sp.csr_array((share, (object_, subject)), shape=shape)
    links = sp.csr_array((graph.weight, (subject, object_)), shape=shape)
    both = sp.csr_array(links + links.T)
    degree, dangling = degrees[linked], out[linked] == 0
    reach, stiff = 1 / degree, 1 / (screening + degree)
    series = heat_series(heat_time)

    idle = count - len(linked)
    begin = starting(count, start)
    # the last entry is the mass of all idle particles
    values = np.append(begin[linked], begin[degrees == 0].sum())
    extrapolate = Extrapolation()
    residuals: list[float] = []
    while not residuals or (residuals[-1] >= tolerance and len(residuals) < limit):
        held, alone = values[:-1], values[-1]
        uniform = (damping * (held[dangling].sum() + alone) + 1 - damping) / count
        after = np.empty_like(values)
        after[:-1] = mix[0] * (walk @ held + uniform)
        after[:-1] += mix[1] * stiff * (both @ held + screening / count)
        after[:-1] += mix[2] * _heat(both, reach, held, series)
        after[-1] = idle * (mix[0] * uniform + mix[1] / count) + mix[2] * alone
        after /= after.sum()
        residuals.append(float(np.abs(after - values).sum()))
        last, values = after, extrapolate(values, after)
    focus = np.full(count, last[-1] / max(1, idle))
    focus[linked] = last[:-1]
    rate = extrapolate.contraction or median_ratio(residuals)
    return Focus(focus, tuple(residuals), residuals[-1] < tolerance, rate)


def heat_series(heat_time: float) -> Floats:
    """Coefficients c with exp(−τ(1 − x)) = Σ c_k·T_k(x) on [−1, 1], up to 10⁻⁹: float64.

    c_k = 2·e^(−τ)·I_k(τ), half of that for k = 0. About 2√τ + 10 of them.
    Source: the generating function of the modified Bessel functions.
    """
    terms = ive(np.arange(64 + math.ceil(2 * heat_time)), heat_time)
    terms[1:] *= 2
    left_out = np.cumsum(terms[::-1])[::-1]
    series: Floats = terms[: max(1, int(np.count_nonzero(left_out > _TRUNCATION)))]
    return series


def stated_contraction(
    norm: float,
    gap: float,
    *,
    mix: tuple[float, float, float] = MIX,
    damping: float = DAMPING,
    screening: float = SCREENING,
    heat_time: float = HEAT_TIME,
) -> float:
    """κ = λ_d·α + λ_s·‖L‖/(‖L‖ + μ) + λ_h·e^(−τ·λ₂), the contraction its authors state.

    norm: ‖L‖, the largest eigenvalue of diag(d) − W; gap: λ₂ of the normalised Laplacian.
    A heuristic: the three terms are bounds in different norms, the renormalisation is not in
    it, and of a disconnected graph λ₂ is 0. Compare the observed contraction of
    :class:`~structinit_core.graph.focus.Focus`. Source: the seeds' origins 1.3.
    """
    springs = norm / (norm + screening)
    return mix[0] * damping + mix[1] * springs + mix[2] * math.exp(-heat_time * gap)


def _heat(both: sp.csr_array, reach: Floats, values: Floats, series: Floats) -> Floats:
    """exp(−τ(I − W·diag(reach)))·values by Chebyshev's recurrence."""
    before, now = values, both @ (reach * values)
    total: Floats = series[0] * before
    for at, coefficient in enumerate(series[1:], 2):
        total += coefficient * now
        if at < len(series):
            before, now = now, 2 * (both @ (reach * now)) - before
    return total
