"""The induction score: how much better a model predicts what it has just seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from structinit_core.corpus import TokenStream
from structinit_core.linalg import generator

_WINDOWS = 8
_LONGEST = 256


def induction_score(
    loss: Callable[[TokenStream, NDArray[np.int64]], float], vocabulary: int, context: int
) -> float:
    """Loss in nats of the first half of a window less that of the second, which repeats it.

    Of eight windows of at most 256 tokens, drawn alike from all ``vocabulary``: nothing but
    copying predicts them, and a model that does not copy scores 0 but for noise. ``loss``:
    the mean over the scored tokens of some windows of a stream. Deterministic for a
    deterministic loss. Source: Olsson et al. 2022, with random tokens.
    """
    half = min(context, _LONGEST) // 2
    draw = generator(0, "induction")
    firsts = draw.integers(vocabulary, size=(_WINDOWS, half))
    ids = np.concatenate((firsts, firsts), axis=1).astype(np.uint32)
    starts = 2 * half * np.arange(_WINDOWS)
    stream = TokenStream(ids.ravel(), np.append(starts, ids.size))
    first = loss(stream, np.stack((starts, starts + half), axis=1))
    whole = loss(stream, np.stack((starts, starts + 2 * half), axis=1))
    return first - ((2 * half - 1) * whole - (half - 1) * first) / half
