"""Keys and their answers as feed-forward units, by what the network really does there."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.layers import Layers
from structinit_core.initializers.closed_form.parts import ACTIVATIONS, Units, as_float
from structinit_core.initializers.graph.keys import Keys
from structinit_core.initializers.graph.layout import GraphStream
from structinit_core.initializers.graph.memory import fit_answers
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens
from structinit_core.initializers.graph.units import as_units, key_units

_ANSWER_ENERGY = 0.01
"""Squared length of the longest answer in the stream, over that of a token."""
_KEYS_AT_ONCE, _ROWS_AT_ONCE = 1 << 12, 1 << 8
_EXACT, _ALIKE = 1 << 37, 64


def store(
    keys: Keys,
    network: Layers,
    head: Tensor,
    stream: GraphStream,
    tokens: GraphTokens,
    seed: int,
    device: torch.device,
) -> tuple[Tensor, tuple[Units, ...]]:
    """The ``head`` (V, d) of ``network`` and units, with all ``keys`` stored behind its own.

    A key's answer is fitted to what its objects' logits lack in the states that the network
    has at the key, and divided by what its unit really passes on there. A unit stores one key.
    Memory O(K·d).

    Raises:
        IncompatibleError: more keys than free units.
    """
    blueprint, low = network.blueprint, 0
    states, passed, ups = [], [], []
    layers = _spread(len(keys), network)
    for layer, count in layers:
        some = slice(low, low + count)
        up, threshold = key_units(keys.before[some], keys.own[some], stream, blueprint)
        state, into = _met(network, keys.before[some], keys.own[some], layer, up)
        states.append(state)
        passed.append(ACTIVATIONS[blueprint.activation](into - threshold))
        ups.append(up)
        low += count
    lacking = _lacking(keys, torch.cat(states), head, tokens)
    answers = fit_answers(lacking, stream.size.answer, seed, device)
    longest = max(float(answers.values.norm(dim=1).max()), 1e-9)
    scale = np.sqrt(_ANSWER_ENERGY * blueprint.width) / longest
    write = as_float(stream.at.answer)
    head = head.clone()
    head[tokens.first_particle :] += answers.codes @ write.T / (scale * stream.later)
    parts, low = [], 0
    for (layer, count), up, real in zip(layers, ups, passed, strict=True):
        values = scale * answers.values[low : low + count] / real[:, None]
        parts.append(as_units(layer, up, threshold, write @ values.T, stream, blueprint))
        low += count
    return head, tuple(parts)


def free_units(network: Layers) -> list[int]:
    """Units of each layer that nothing is written into yet."""
    used = [0] * network.blueprint.layers
    for part in network.stream.units:
        used[part.layer] += len(part.up)
    return [network.blueprint.feed_forward - count for count in used]


def _spread(count: int, network: Layers) -> list[tuple[int, int]]:
    """(layer, keys) of the layers that hold any, as even as there is room."""
    free = free_units(network)
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
    network: Layers, before: NDArray[np.int64], own: NDArray[np.int64], layer: int, up: Tensor
) -> tuple[Tensor, Tensor]:
    """What the head reads (K, d) and what goes into each key's unit (K,) where its key stands."""
    states, into = torch.empty_like(up), torch.empty(len(up))
    for low in range(0, len(up), _KEYS_AT_ONCE):
        some = slice(low, low + _KEYS_AT_ONCE)
        frame = np.full(len(own[some]), FRAME_ID)
        ids = torch.from_numpy(np.stack((frame, before[some], own[some]), axis=1))
        reached = network.normalised(network.residual(ids, before=layer)[:, -1])
        into[some] = (reached * up[some]).sum(dim=1)
        states[some] = network.normalised(network.residual(ids)[:, -1])
    return states, into


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

    Where K·V·d is large it is the mean of up to 64 keys that end in the same token.
    """
    which = np.arange(len(own))
    exact = len(own) * head.numel() <= _EXACT
    if not exact:
        order = np.argsort(own, kind="stable")
        starts = np.concatenate(([0], np.flatnonzero(np.diff(own[order])) + 1))
        place = np.arange(len(own)) - np.repeat(starts, np.diff(np.append(starts, len(own))))
        which = np.sort(order[place < _ALIKE])
    found = np.empty(len(which))
    for low in range(0, len(which), _ROWS_AT_ONCE):
        some = which[low : low + _ROWS_AT_ONCE]
        logits = states[torch.from_numpy(some)] @ head.T
        found[low : low + len(some)] = torch.logsumexp(logits, dim=1).numpy()
    if exact:
        return found
    last, inverse = np.unique(own[which], return_inverse=True)
    means = np.bincount(inverse, found) / np.bincount(inverse)
    of_each: NDArray[np.float64] = means[np.searchsorted(last, own)]
    return of_each
