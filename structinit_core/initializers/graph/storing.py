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
from structinit_core.initializers.graph.memory import crowded, fit_answers, with_crosstalk
from structinit_core.initializers.graph.parts import GraphParts
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens
from structinit_core.initializers.graph.units import THRESHOLD, alone, as_units, key_units

_ANSWER_ENERGY = 0.01
"""Squared length of the longest answer in the stream, over that of a token."""
_LEAST = 1.0
_KEYS_AT_ONCE, _ROWS_AT_ONCE, _LOGITS_AT_ONCE = 1 << 12, 1 << 8, 1 << 25
_MULTIPLICATIONS, _ALIKE = 1 << 37, (4, 64)


def store(
    keys: Keys,
    parts: GraphParts,
    sight: Sight,
    tokens: GraphTokens,
    seed: int,
    device: torch.device,
) -> GraphParts:
    """``parts`` with all ``keys`` stored in units behind their own.

    A key's answer is fitted to what its objects' logits lack in the states that the network
    has at the key, and divided by what its unit really passes on there. A unit stores one key,
    the most valuable in the first layer. The codes of answers are added to the head of ``parts``
    in place. Memory O(K·d).

    Raises:
        IncompatibleError: more keys than free units.
        NumericalError: other parts of the stream are so long that a key is not known by its own.
    """
    stream, blueprint, head = sight.stream, sight.blueprint, parts.unembed
    layers = _spread(len(keys), free_units(parts.units, blueprint))
    states, passed = _met(keys, parts, np.repeat(*np.array(layers).T), sight)
    if not bool((passed > _LEAST).all()):
        raise NumericalError("a unit does not fire at its own key", hint="take a larger --width")
    lacking = _lacking(keys, states, head, tokens)
    if crowded(stream.size.answer, tokens.particles):
        lacking = with_crosstalk(lacking, stream.size.answer)
    answers = fit_answers(lacking, keys.known, stream.size.answer, seed, device)
    longest = max(float(answers.values.norm(dim=1).max()), 1e-9)
    scale = np.sqrt(_ANSWER_ENERGY * blueprint.width) / longest
    values = scale * answers.values / passed[:, None]
    write = as_float(stream.at.answer)
    read = write.T / (scale * stream.later)
    for low in range(0, len(answers.objects), _KEYS_AT_ONCE):
        some = slice(low, low + _KEYS_AT_ONCE)
        head[answers.objects[some] + tokens.first_particle] += answers.codes[some] @ read
    units, low = list(parts.units), 0
    for layer, count in layers:
        some = slice(low, low + count)
        up = key_units(keys.before[some], keys.own[some], stream, blueprint)
        units.append(as_units(layer, up, THRESHOLD, write @ values[some].T, stream, blueprint))
        low += count
    return replace(parts, units=tuple(units))


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


def _met(
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


def _lacking(keys: Keys, states: Tensor, head: Tensor, tokens: GraphTokens) -> sp.csr_array:
    """What each object's logit lacks to the chance wanted: CSR float32 (K, P).

    All other tokens together have that of a key's other objects.
    """
    objects = keys.objects
    level = _levels(keys.own, states, head) - np.log(keys.others)
    lacking = np.empty(objects.nnz, np.float32)
    for low in range(0, len(keys), _KEYS_AT_ONCE):
        high = min(low + _KEYS_AT_ONCE, len(keys))
        bounds = objects.indptr[low : high + 1]
        of, into = slice(bounds[0], bounds[-1]), np.repeat(np.arange(low, high), np.diff(bounds))
        rows = torch.from_numpy(objects.indices[of]).long() + tokens.first_particle
        logits = (states[torch.from_numpy(into)] * head[rows]).sum(dim=1)
        lacking[of] = np.log(objects.data[of]) + level[into] - logits.numpy()
    return sp.csr_array((lacking, objects.indices, objects.indptr), shape=objects.shape)


def _levels(own: NDArray[np.int64], states: Tensor, head: Tensor) -> NDArray[np.float64]:
    """Log of the sum of all exponentiated logits at each key, (K,).

    Where K·V·d is large it is the mean of 4 to 64 keys that end in the same token.
    """
    which = np.arange(len(own))
    exact = len(own) * head.numel() <= _MULTIPLICATIONS
    if not exact:
        order = np.argsort(own, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(own[order])) + 1))
        place = np.arange(len(own)) - np.repeat(starts, np.diff(np.append(starts, len(own))))
        affordable = _MULTIPLICATIONS // (len(starts) * head.numel())
        which = np.sort(order[place < np.clip(affordable, *_ALIKE)])
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
