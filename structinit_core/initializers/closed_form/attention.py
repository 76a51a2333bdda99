"""Heads that read one earlier token: what they hold, and where they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.initializers.closed_form.layout import Coordinates, Stream, divide
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.parts import Head, as_float, holds
from structinit_core.initializers.closed_form.positions import Beam, beam, frequencies, turned
from structinit_core.model import Wiring

Floats = NDArray[np.float64]


def lag_heads(
    model: OffsetModel, stream: Stream, blueprint: Blueprint, wiring: Wiring
) -> tuple[Head, ...]:
    """The first heads of the first layer, each reading the token its lag back.

    Where they look is a :func:`lag_beam`; what is read and written are the maps of ``model``
    in the coordinates of ``stream``. The heads of ``model`` that take the same read map stand
    in one group of queries, which shares its keys too.
    """
    looking = lag_beam(blueprint, wiring, max(model.lags), stream.seed)
    shared = -(-len(model.lags) // len(model.read))
    group = blueprint.heads // blueprint.kv_heads
    heads = []
    for at, read in enumerate(model.read):
        members = slice(at * shared, (at + 1) * shared)
        value, outputs = head_maps(read, model.write[members], stream.coordinates)
        for index, (lag, output) in enumerate(zip(model.lags[members], outputs, strict=True)):
            sight = look(looking, lag, stream.coordinates, blueprint, wiring)
            maps: dict[str, Any] = {"value": as_float(value), "output": as_float(output)}
            heads.append(Head(0, at * group + index, **maps, **sight, lag=lag))
    return tuple(heads)


def lag_beam(
    blueprint: Blueprint, wiring: Wiring, lag: int, seed: int, slowest: float = 0.0
) -> Beam:
    """Where heads of the first layer look that read tokens up to ``lag`` back.

    Every query of the layer has the same amplitudes, so that one key does for all of a group
    and one gain for all where queries and keys are normalised. Waves that turn less than
    ``slowest`` radians over all that is seen are left to others.
    """
    waves, reach = wiring.frequencies.double().numpy(), seen(blueprint, wiring)
    if blueprint.learned_positions:
        waves = frequencies(divide(blueprint).positions // 2, blueprint.context, seed)
    used = waves * reach > slowest
    amplitudes = np.zeros_like(waves)
    amplitudes[used] = beam(waves[used], reach, lag, blueprint.head_width // 2).amplitudes
    return Beam(waves, amplitudes)


def seen(blueprint: Blueprint, wiring: Wiring) -> int:
    """How many positions a query of the first layer sees at most, its own included."""
    return min(blueprint.context, wiring.windows[0] or blueprint.context)


def look(
    looking: Beam, lag: int, at: Coordinates, blueprint: Blueprint, wiring: Wiring
) -> dict[str, Any]:
    """Queries and keys of a :class:`Head` of the first layer that reads ``lag`` back.

    With learned positions keys are position codes and queries the same turned back by the
    lag. With rotary ones both are constants, from biases where there are any, else from the
    constant of the stream; where they are normalised, the gains make their length and the
    entries in use hold all of it.
    """
    scale = wiring.scales[0] * wiring.rotary_scale**2
    entries = np.zeros((2, blueprint.head_width))
    pairs = len(looking.frequencies)
    if blueprint.learned_positions:
        return _positions(looking, lag, at, blueprint.head_width, scale)
    for row, turn in zip(entries, (lag, 0), strict=True):
        row[: 2 * pairs] = looking.turned(turn).ravel() / np.sqrt(scale)
    sight: dict[str, Any] = {}
    if holds(blueprint, Role.Q_NORM, Kind.WEIGHT):
        gain = _gains(looking, entries[1])
        entries /= gain
        sight = {"query_gain": as_float(gain), "key_gain": as_float(gain)}
    query, key = entries
    if holds(blueprint, Role.ATTN_Q, Kind.BIAS):
        none = as_float(np.zeros((blueprint.head_width, blueprint.width)))
        biases = {"query_bias": as_float(query), "key_bias": as_float(key)}
        return {"query": none, "key": none} | biases | sight
    constant = at.constant[:, 0] / (at.shrink * at.level)
    return {
        "query": as_float(np.outer(query, constant)),
        "key": as_float(np.outer(key, constant)),
    } | sight


def _positions(
    looking: Beam, lag: int, at: Coordinates, size: int, scale: float
) -> dict[str, Tensor]:
    """Queries and keys that compare position codes, a pair of entries for each wave in use."""
    pairs = len(looking.frequencies)
    (used,) = np.nonzero(looking.amplitudes)
    factor = np.sqrt(looking.amplitudes * pairs / scale) / (at.shrink * at.position_length)
    rows = np.concatenate((used, pairs + used))
    query, key = np.zeros((2, size, len(at.positions)))
    for into, turn in ((query, lag), (key, 0)):
        codes = turned(at.positions, looking.frequencies, turn) * np.tile(factor, 2)
        into[: len(rows)] = codes.T[rows]
    return {"query": as_float(query), "key": as_float(key)}


def _gains(looking: Beam, key: Floats) -> Floats:
    """Gains of normalised queries and keys, (h,): what is used gets the length of ``key``.

    The others get what leaves heads that are fill, whose rows are divided by the gains, with
    queries of the length they would have under gains of 1.
    """
    size, pairs = len(key), len(looking.frequencies)
    used = np.zeros(size, bool)
    used[: 2 * pairs] = np.tile(looking.amplitudes > 0, 2)
    square = (key**2).sum() / size
    free, count = size - used.sum(), used.sum()
    other = free / max(size - count / square, 1.0) if free else 1.0
    return np.sqrt(np.where(used, square, other))


def head_maps(
    read: Tensor, writes: Sequence[Tensor], at: Coordinates
) -> tuple[Floats, list[Floats]]:
    """Value (k, d) and outputs (d, k) of heads that share it: write·read on codes [x; f].

    Value and outputs have the same rms.
    """
    known = np.concatenate((at.prediction, at.identity), axis=1)
    value = read.double().cpu().numpy() @ known.T / (at.scale * at.shrink)
    outputs = [at.scale * at.prediction @ write.double().cpu().numpy() for write in writes]
    balance = np.sqrt(np.sqrt(np.mean(np.square(outputs)) / np.mean(value**2))) or 1.0
    return value * balance, [output / balance for output in outputs]
