"""Keys and their answers as feed-forward units, by what the network really does there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError, NumericalError
from structinit_core.initializers.closed_form.layers import Layers
from structinit_core.initializers.closed_form.parts import Units, as_float
from structinit_core.initializers.graph.heads import Sight
from structinit_core.initializers.graph.keys import Keys
from structinit_core.initializers.graph.layout import GraphStream
from structinit_core.initializers.graph.memory import crowded, fit_answers, with_crosstalk
from structinit_core.initializers.graph.parts import Answered, GraphParts
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens
from structinit_core.initializers.graph.units import THRESHOLD, alone, as_units, key_units

_ANSWER_ENERGY = 0.01
"""Squared length of the longest answer in the stream, over that of a token."""
LEAST = 1.0
"""What a unit has to pass on at its own key for the key to be stored there."""
_KEYS_AT_ONCE, _ROWS_AT_ONCE, _LOGITS_AT_ONCE = 1 << 12, 1 << 8, 1 << 25
_MULTIPLICATIONS, _ALIKE = 1 << 37, (4, 64)


def store(
    keys: Keys,
    parts: GraphParts,
    sight: Sight,
    tokens: GraphTokens,
    seed: int,
    device: torch.device,
) -> tuple[GraphParts, Answered]:
    """``parts`` with ``keys`` stored in units behind their own, and which are.

    A key's answer is fitted to what its objects' logits lack in the states that the network
    has at the key, and divided by what its unit really passes on there; a key whose unit passes
    on next to nothing is left out. A unit stores one key, the most valuable in the first layer.
    The codes of answers are added to the head of ``parts`` in place. Memory O(K·d).

    Raises:
        IncompatibleError: more keys than free units.
        NumericalError: other parts of the stream are so long that no unit knows its own key.
    """
    stream, blueprint, head = sight.stream, sight.blueprint, parts.unembed
    room = free_units(parts.units, blueprint)
    layer = np.repeat(*np.array(_spread(len(keys), room)).T)
    states, passed = met(keys, parts, layer, sight)
    fires = (passed > LEAST).numpy()
    if not fires.any():
        raise NumericalError("no unit fires at its own key", hint="take a larger --width")
    if not fires.all():
        keys, layer = keys.only(fires), layer[fires]
        states, passed = states[fires], passed[fires]
    level = levels(keys.own, states, head)
    missing = lacking(keys, states, head, tokens, level)
    if crowded(stream.size.answer, tokens.particles):
        missing = with_crosstalk(missing, stream.size.answer)
    answers = fit_answers(missing, keys.known, stream.size.answer, seed, device)
    longest = max(float(answers.values.norm(dim=1).max()), 1e-9)
    scale = float(np.sqrt(_ANSWER_ENERGY * blueprint.width) / longest)
    for low in range(0, len(answers.objects), _KEYS_AT_ONCE):
        some = slice(low, low + _KEYS_AT_ONCE)
        rows = answer_rows(answers.codes[some], scale, stream)
        head[answers.objects[some] + tokens.first_particle] += rows
    units, unit = list(parts.units), np.empty(len(keys), np.int32)
    for at in np.unique(layer).tolist():
        some = slice(*np.searchsorted(layer, [at, at + 1]))
        asked = keys.before[some], keys.own[some]
        units.append(key_answers(at, *asked, scale * answers.values[some], passed[some], sight))
        unit[some] = blueprint.feed_forward - room[at] + np.arange(some.stop - some.start)
    answered = Answered(
        scale=scale,
        gram=answers.gram,
        levels=_mean_levels(keys.own, level, tokens),
        subject=keys.before - tokens.first_particle,
        relation=tokens.directed(keys.own),
        layer=layer.astype(np.int32),
        unit=unit,
        hub=answers.hub,
        predicted=keys.predicted(),
    )
    return replace(parts, units=tuple(units)), answered


def key_answers(
    layer: int,
    before: NDArray[np.int64],
    own: NDArray[np.int64],
    values: Tensor,
    passed: Tensor,
    sight: Sight,
) -> Units:
    """Units of ``layer`` that write ``values`` (K, a) at K keys, where they pass on ``passed``."""
    stream, blueprint = sight.stream, sight.blueprint
    up = key_units(before, own, stream, blueprint)
    down = as_float(stream.at.answer) @ (values / passed[:, None]).T
    return as_units(layer, up, THRESHOLD, down, stream, blueprint)


def answer_rows(codes: Tensor, scale: float, stream: GraphStream) -> Tensor:
    """What answer codes (n, a) of objects add to their rows of the head: (n, d)."""
    return codes @ (as_float(stream.at.answer).T / (scale * stream.later))


def _mean_levels(
    own: NDArray[np.int64], level: NDArray[np.float64], tokens: GraphTokens
) -> NDArray[np.float64]:
    """The mean level of the keys of each directed relation, (2S,); of all where it has none."""
    relation, count = tokens.directed(own), 2 * tokens.relations
    keys = np.bincount(relation, minlength=count)
    sums = np.bincount(relation, level, count)
    means: NDArray[np.float64] = np.where(keys, sums / np.maximum(keys, 1), level.mean())
    return means


def free_units(units: Sequence[Units], blueprint: Blueprint) -> list[int]:
    """Units of each layer that nothing is written into yet."""
    used = [0] * blueprint.layers
    for part in units:
        used[part.layer] += len(part.up)
    return [blueprint.feed_forward - count for count in used]


def _spread(count: int, free: list[int]) -> list[tuple[int, int]]:
    """(layer, keys) of the layers that hold any, as even as there is room."""
    if count > sum(free):
        raise IncompatibleError(
            f"config: {count} keys need as many feed-forward units, {sum(free)} are free"
        )
    spread = [0] * len(free)
    while count:
        open_layers = [layer for layer in range(len(free)) if spread[layer] < free[layer]]
        share = -(-count // len(open_layers))
        for layer in open_layers:
            taken = min(share, free[layer] - spread[layer], count)
            spread[layer] += taken
            count -= taken
    return [(layer, taken) for layer, taken in enumerate(spread) if taken]


def met(
    keys: Keys, parts: GraphParts, layers: NDArray[np.int64], sight: Sight
) -> tuple[Tensor, Tensor]:
    """What the head reads (K, d) and what each key's unit passes on (K,) where its key stands.

    ``layers`` (K,): of the units. Keys of one token pass together, by the heads that copy and
    those that ask for this token: all others add nothing there.
    """
    stream, blueprint = sight.stream, sight.blueprint
    states, passed = torch.empty(len(keys), blueprint.width), torch.empty(len(keys))
    order = np.argsort(keys.own, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(keys.own[order])) + 1):
        token = int(keys.own[alike[0]])
        heads = tuple(head for head in parts.heads if head.asks in (None, token))
        network = Layers(replace(parts, heads=heads), blueprint, sight.wiring)
        for rows in np.array_split(alike, -(-len(alike) // _KEYS_AT_ONCE)):
            own, before = keys.own[rows], keys.before[rows]
            ids = torch.from_numpy(np.stack((np.full(len(rows), FRAME_ID), before, own), axis=1))
            up, at = key_units(before, own, stream, blueprint), torch.from_numpy(rows)
            for layer, (taken, after) in enumerate(network.passed(ids)):
                here = torch.from_numpy(layers[rows] == layer)
                reached = network.normalised(taken[here, -1])
                passed[at[here]] = alone(reached, up[here], THRESHOLD, stream, blueprint)
                if layer == blueprint.layers - 1:
                    states[at] = network.normalised(after[:, -1])
    return states, passed


def lacking(
    keys: Keys, states: Tensor, head: Tensor, tokens: GraphTokens, level: NDArray[np.float64]
) -> sp.csr_array:
    """What each object's logit lacks to the chance wanted: CSR float32 (K, P).

    All other tokens together have that of a key's other objects; ``level`` (K,) is the log of
    the sum of their exponentiated logits.
    """
    objects = keys.objects
    level = level - np.log(keys.others)
    found = np.empty(objects.nnz, np.float32)
    for low in range(0, len(keys), _KEYS_AT_ONCE):
        high = min(low + _KEYS_AT_ONCE, len(keys))
        bounds = objects.indptr[low : high + 1]
        of, into = slice(bounds[0], bounds[-1]), np.repeat(np.arange(low, high), np.diff(bounds))
        rows = torch.from_numpy(objects.indices[of]).long() + tokens.first_particle
        logits = (states[torch.from_numpy(into)] * head[rows]).sum(dim=1)
        found[of] = np.log(objects.data[of]) + level[into] - logits.numpy()
    return sp.csr_array((found, objects.indices, objects.indptr), shape=objects.shape)


def affordable(keys: int, head: Tensor) -> bool:
    """Whether each key gets a level of its own."""
    return keys * head.numel() <= _MULTIPLICATIONS


def levels(own: NDArray[np.int64], states: Tensor, head: Tensor) -> NDArray[np.float64]:
    """Log of the sum of all exponentiated logits at each key, (K,).

    Where K·V·d is large it is the mean of 4 to 64 keys that end in the same token.
    """
    which = np.arange(len(own))
    exact = affordable(len(own), head)
    if not exact:
        order = np.argsort(own, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(own[order])) + 1))
        place = np.arange(len(own)) - np.repeat(starts, np.diff(np.append(starts, len(own))))
        allowed = _MULTIPLICATIONS // (len(starts) * head.numel())
        which = np.sort(order[place < np.clip(allowed, *_ALIKE)])
    found = np.empty(len(which))
    part = max(1, min(_ROWS_AT_ONCE, _LOGITS_AT_ONCE // len(head)))
    for low in range(0, len(which), part):
        some = which[low : low + part]
        logits = states[torch.from_numpy(some)] @ head.T
        found[low : low + len(some)] = torch.logsumexp(logits, dim=1).numpy()
    if exact:
        return found
    last, inverse = np.unique(own[which], return_inverse=True)
    means = np.bincount(inverse, found) / np.bincount(inverse)
    of_each: NDArray[np.float64] = means[np.searchsorted(last, own)]
    return of_each
