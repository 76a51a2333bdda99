"""Position codes that a head can look back by: frequencies that tell positions apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from structinit_core.linalg import generator

_CANDIDATES = 4000
_SEARCH_ELEMENTS = 1 << 25
_SLOWEST = 0.02
_LOG_ODDS = 2.2
"""Of the looked-at token against all others together, at least."""

Floats = NDArray[np.float64]


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


def sharpness(frequencies: Floats, context: int) -> float:
    """Factor on the cosines that leaves all other positions a tenth of the attention at most."""
    return float((np.log(context) + _LOG_ODDS) / (1 - side_lobe(frequencies, context)))


def turned(into: Floats, frequencies: Floats, lag: int) -> Floats:
    """Coordinates in which position t reads as position t − ``lag`` does in ``into``: (d, 2m)."""
    cosine, sine = np.split(into, 2, axis=1)
    c, s = np.cos(lag * frequencies), np.sin(lag * frequencies)
    return np.concatenate((cosine * c + sine * s, sine * c - cosine * s), axis=1)
