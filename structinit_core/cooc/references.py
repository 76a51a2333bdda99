"""What counting alone scores on the same tokens as a model: the yardsticks of every report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.cooc.kneser_ney import KneserNey
from structinit_core.corpus import TokenStream, scored_positions, window_starts
from structinit_core.errors import IncompatibleError, InputError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ReferenceLosses:
    """Mean negative log-likelihood in nats per scored token."""

    uniform: float
    unigram: float
    kn2: float
    kn3: float
    tokens: int


def reference_losses(
    model: KneserNey, stream: TokenStream, windows: NDArray[np.int64]
) -> ReferenceLosses:
    """Losses of the uniform, unigram, KN-2 and KN-3 predictors on the windows' scored tokens.

    A reference sees what the network sees: at the second token of a window KN-3 has one
    token of context and is KN-2. Cost: O(n log nnz); memory bounded by blocks of 2²⁰ tokens.

    Raises:
        InputError: no scored token.
        IncompatibleError: a token outside the counted vocabulary.
    """
    return reference_losses_at(model, stream, scored_positions(windows), window_starts(windows))


def reference_losses_at(
    model: KneserNey,
    stream: TokenStream,
    positions: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> ReferenceLosses:
    """As :func:`reference_losses`, at chosen ``positions`` of the stream, int64 (n,).

    ``starts``, int64 (n,): where what may be looked at begins; each is before its position.
    """
    if len(positions) == 0:
        raise InputError("the text holds no document of two tokens to score")
    sums = np.zeros(3)
    for low in range(0, len(positions), _BLOCK):
        at, start = positions[low : low + _BLOCK], starts[low : low + _BLOCK]
        third, second = stream.ids[at], stream.ids[at - 1]
        if int(max(third.max(), second.max())) >= model.vocabulary:
            raise IncompatibleError("the text holds tokens outside the counted vocabulary")
        kn2 = model.bigram_probability(second, third)
        deep = at - 2 >= start
        kn3 = kn2.copy()
        kn3[deep] = model.trigram_probability(stream.ids[at[deep] - 2], second[deep], third[deep])
        sums -= [np.log(p).sum() for p in (model.unigram[third], kn2, kn3)]
    unigram, kn2_loss, kn3_loss = (float(value) / len(positions) for value in sums)
    return ReferenceLosses(
        float(np.log(model.vocabulary)), unigram, kn2_loss, kn3_loss, len(positions)
    )
