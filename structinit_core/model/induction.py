"""Whether a model repeats what it has just read: its loss on sequences written twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from structinit_core.corpus import TokenStream
from structinit_core.linalg import generator
from structinit_core.model.loss import token_losses
from structinit_core.progress import Silent

_LONGEST = 256


class Induction(BaseModel):
    """Loss on random sequences that repeat once: of the first half, and of its repetition."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    first: float
    second: float


def repeated_sequences(
    counted: NDArray[np.int64], context: int, seed: int, *, sequences: int = 32
) -> NDArray[np.int64] | None:
    """Random sequences of the tokens that were ``counted``, each written twice.

    int64 (sequences, 2·half), 256 tokens long or as ``context`` allows; ``None`` where that is less
    than four. Deterministic for ``seed``.
    """
    half = min(context, _LONGEST) // 2
    if half < 2 or not counted.any():
        return None
    draw = generator(seed, "repeated sequences")
    once = draw.choice(np.flatnonzero(counted), (sequences, half))
    return np.concatenate((once, once), axis=1)


def induction_losses(
    model: torch.nn.Module, vocabulary: int, repeated: NDArray[np.int64]
) -> Induction:
    """The loss of ``model`` on both halves of ``repeated``, in nats; not finite: an error.

    The test of Olsson et al. 2022, "In-context Learning and Induction Heads": the two are about
    equal for a model that does not copy.
    """
    ids = TokenStream(repeated.ravel(), np.zeros(0, np.int64))
    rows, length = repeated.shape
    starts = np.arange(rows) * length
    windows = np.stack((starts, starts + length), axis=1)
    losses = token_losses(model, vocabulary, ids, windows, Silent())
    by_place = losses.reshape(rows, length - 1).mean(axis=0, dtype=np.float64)
    half = length // 2
    # The first token of the repetition cannot be foreseen: nothing says that it begins.
    return Induction(first=float(by_place[: half - 1].mean()), second=float(by_place[half:].mean()))


def induction_score(
    loss: Callable[[TokenStream, NDArray[np.int64]], float], repeated: NDArray[np.int64]
) -> float:
    """Loss in nats of the first half of ``repeated`` sequences less that of the second.

    ``loss``: the mean over the scored tokens of some windows of a stream. A model that does not
    copy scores 0 but for noise. Source: Olsson et al. 2022, with random tokens.
    """
    rows, length = repeated.shape
    half, starts = length // 2, length * np.arange(rows)
    stream = TokenStream(repeated.ravel().astype(np.uint32), np.append(starts, repeated.size))
    first = loss(stream, np.stack((starts, starts + half), axis=1))
    whole = loss(stream, np.stack((starts, starts + length), axis=1))
    second = ((length - 1) * whole - (half - 1) * first) / half
    return float(first - second)
