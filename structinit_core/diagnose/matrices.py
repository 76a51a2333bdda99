"""What the spectrum of one matrix says, under WeightWatcher's names where it has one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from structinit_core.diagnose.bulk import Bulk, fit_bulk
from structinit_core.diagnose.report import Check, Series
from structinit_core.diagnose.spectrum import Spectrum
from structinit_core.diagnose.tail import FEWEST, Tail, fit_tail

RANDOM_LIKE = "random-like"
_AS_DRAWN = 0.05
"""Distance from the Marchenko–Pastur law up to which a spectrum is one of independent entries."""
_SPIKES_AS_DRAWN = 0.01
_SERIES_VALUES = 64
_BINS = 32


def spectrum_findings(name: str, found: Spectrum) -> Iterator[Check | Series]:
    """Ranks, norms, condition, orthogonality, bulk and tail of a matrix; λ is an eigenvalue of WᵀW.

    ``N`` ≥ ``M`` are the sides, ``Q`` = N/M. stable_rank: Σλ/λmax. effective_rank: e to the
    entropy of the singular values' shares (Roy & Vetterli 2007). entropy: that of the shares of
    λ over ln rank. condition: largest over smallest singular value. orthogonality_error: the
    standard deviation of λ over its mean, 0 for a multiple of a matrix with orthonormal rows or
    columns. matrix_rank and rank_loss: values beyond M·ε in λ, which is what float64 can tell.
    log is decimal. ``sigma_mp``, ``lambda_plus``, ``mp_softrank``, ``num_spikes``,
    ``mp_distance``: see :class:`Bulk`; ``alpha`` to ``num_pl_spikes``: see :class:`Tail`, and
    ``alpha_flag`` says whether alpha means anything: ``ok``, or why not. Where only the leading
    values are known, what needs all of them is left out.

    Series: ``singular_values`` at up to 64 places spread evenly on a logarithmic scale, and
    ``singular_value_counts`` in 32 bins from 0 to the largest.
    """

    def check(what: str, value: float | str | None) -> Check:
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        return Check(name=what, value=value, tensor=name)

    largest = float(found.squares[-1])
    values = found.values()
    yield check("N", found.long)
    yield check("M", found.short)
    yield check("Q", found.long / found.short)
    yield check("spectral_norm", float(values[0]))
    yield check("stable_rank", found.energy / largest if largest else 0.0)
    if largest:
        yield check("log_norm", _log(found.energy, found))
        yield check("log_spectral_norm", _log(largest, found))
    if found.exact:
        yield from (check(*pair) for pair in _shape(found))
    if largest:
        bulk = fit_bulk(found)
        yield from (check(*pair) for pair in _bulk(bulk, found))
        if found.exact:
            yield from (check(*pair) for pair in _tail(found, bulk))
        yield from _pictures(name, found, values)


def random_like(bulk: Bulk | None, short: int) -> bool:
    """Whether the spectrum is that of independent random entries, a spike or two apart."""
    return (
        bulk is not None
        and bulk.distance is not None
        and bulk.distance <= _AS_DRAWN
        and bulk.spikes <= max(1, _SPIKES_AS_DRAWN * short)
    )


def _log(square: float, found: Spectrum) -> float:
    return math.log10(square) + 2 * math.log10(found.scale)


def _shape(found: Spectrum) -> Iterator[tuple[str, float | None]]:
    squares, short = found.squares, found.short
    rank = found.rank
    yield "matrix_rank", rank
    yield "rank_loss", short - rank
    if not rank:
        return
    roots = np.sqrt(squares[short - rank :])
    yield "effective_rank", math.exp(_entropy(roots))
    if rank > 1:
        yield "entropy", _entropy(squares[short - rank :]) / math.log(rank)
    yield "condition", float(roots[-1] / roots[0]) if rank == short else None
    mean = float(squares.mean())
    yield "orthogonality_error", float(np.sqrt(np.mean((squares / mean - 1) ** 2)))


def _entropy(weights: NDArray[np.float64]) -> float:
    shares = weights / weights.sum()
    return -float(shares @ np.log(shares))


def _bulk(bulk: Bulk | None, found: Spectrum) -> Iterator[tuple[str, float | None]]:
    if bulk is None:
        return
    unit = found.scale * found.scale
    yield "sigma_mp", bulk.sigma * found.scale
    yield "lambda_plus", bulk.edge * unit
    yield "mp_softrank", bulk.edge / float(found.squares[-1])
    yield "num_spikes", bulk.spikes
    yield "mp_distance", bulk.distance


def _tail(found: Spectrum, bulk: Bulk | None) -> Iterator[tuple[str, float | str]]:
    positive = found.squares[found.short - found.rank :]
    tail = fit_tail(positive)
    yield "alpha_flag", _flag(tail, bulk, len(positive), found.short)
    if tail is None:
        return
    unit = found.scale * found.scale
    yield "alpha", tail.alpha
    yield "D", tail.D
    yield "sigma", tail.sigma
    yield "xmin", tail.xmin * unit
    yield "xmax", tail.xmax * unit
    yield "num_pl_spikes", tail.spikes
    yield "alpha_weighted", tail.alpha * _log(float(positive[-1]), found)
    powers = tail.alpha * np.log(positive / positive[-1])
    yield (
        "log_alpha_norm",
        tail.alpha * _log(float(positive[-1]), found) + math.log10(float(np.exp(powers).sum())),
    )


def _flag(tail: Tail | None, bulk: Bulk | None, count: int, short: int) -> str:
    """Whether alpha means anything: the first reason against it, else ``ok``."""
    if count < FEWEST:
        return "too few eigenvalues"
    if tail is None:
        return "all equal"
    if random_like(bulk, short):
        return RANDOM_LIKE
    return "no power law" if tail.rejected else "ok"


def _pictures(name: str, found: Spectrum, values: NDArray[np.float64]) -> Iterator[Series]:
    told = found.rank
    if not math.isfinite(float(values[0])):
        return
    steps = range(_SERIES_VALUES)
    at = sorted({round(told ** (step / (_SERIES_VALUES - 1))) for step in steps})
    curve = tuple(float(values[place - 1]) for place in at)
    yield Series(name="singular_values", values=curve, at=tuple(at), tensor=name)
    if found.exact:
        counts, edges = np.histogram(values, _BINS, (0.0, float(values[0])))
        yield Series(
            name="singular_value_counts",
            values=tuple(map(float, counts)),
            edges=tuple(map(float, edges)),
            tensor=name,
        )
