"""Heads that read one earlier token: what they hold, and where they look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.closed_form.layout import Coordinates, Stream
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.parts import Head, as_float
from structinit_core.initializers.closed_form.positions import frequencies, sharpness, turned

Floats = NDArray[np.float64]


def lag_heads(
    model: OffsetModel, stream: Stream, blueprint: Blueprint, scale: float
) -> tuple[Head, ...]:
    """The first heads of the first layer, each reading the token its lag back.

    Keys are position codes and queries the same turned back by the lag, ``sharpness`` times
    their cosine once ``scale`` and the norm are accounted for; what is read and written are
    the maps of ``model`` in the coordinates of ``stream``. For learned positions.
    """
    at = stream.coordinates
    size, pairs = blueprint.head_width, at.positions.shape[1] // 2
    waves = frequencies(pairs, blueprint.context, stream.seed)
    factor = np.sqrt(sharpness(waves, blueprint.context) / scale)
    factor /= at.shrink * at.position_length
    heads = []
    for index, (lag, read, write) in enumerate(
        zip(model.lags, model.read, model.write, strict=True)
    ):
        query, key = np.zeros((2, size, blueprint.width))
        query[: 2 * pairs] = factor * turned(at.positions, waves, lag).T
        key[: 2 * pairs] = factor * at.positions.T
        value, output = head_maps(read, write, at)
        parts = (as_float(part) for part in (query, key, value, output))
        heads.append(Head(0, index, *parts))
    return tuple(heads)


def head_maps(read: Tensor, write: Tensor, at: Coordinates) -> tuple[Floats, Floats]:
    """Value (k, d) and output (d, k) of a head, of equal rms: write·read on codes [x; f]."""
    known = np.concatenate((at.prediction, at.identity), axis=1)
    value = read.double().cpu().numpy() @ known.T / (at.scale * at.shrink)
    output = at.scale * at.prediction @ write.double().cpu().numpy()
    balance = np.sqrt(np.sqrt((output**2).mean() / (value**2).mean())) or 1.0
    return value * balance, output / balance
