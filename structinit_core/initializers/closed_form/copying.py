"""Copying in two layers: what followed the last time the token stood here is likelier again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.corpus import TokenStream, spread
from structinit_core.initializers.closed_form.attention import lag_beam, look, seen
from structinit_core.initializers.closed_form.copy_votes import (
    COPIED,
    buffer_votes,
    own_codes,
    predicted_votes,
    scaled_votes,
)
from structinit_core.initializers.closed_form.layout import divide
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import Head, as_float, holds, linear_maps
from structinit_core.initializers.closed_form.room import with_buffer
from structinit_core.initializers.closed_form.tied import lift_layer, steadied
from structinit_core.model import Wiring, read_wiring

_LEAST, _MOST = 8, 32
"""Dimensions of the codes that are matched and copied."""
_SHARE = 4 / 9
"""Of the identity dimensions, where heads read the rest; as many go to the buffer."""
_WRITTEN = 0.4
"""Length in the stream of a remembered code, over that of a token."""
_SHARPNESS = (0.8, 1.0)
"""Score of a match over log T + 3, to choose from on held-out text."""
_VOTES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Nats by which the prediction rises on average for what is copied, until text gains no more."""
_SLOW = 1.0
"""Radians that a rotated pair may turn over all that is seen, and still compare content."""
_SAMPLED_TOKENS = 1 << 12

Floats = NDArray[np.float64]


def copy_obstacle(blueprint: Blueprint) -> str | None:
    """Why the copy heads cannot be compiled into this model, or ``None``."""
    if blueprint.layers < 2:
        return "it takes two layers"
    wiring = read_wiring(blueprint)
    if blueprint.tied and wiring.parallel and blueprint.layers < 3:
        return "the head is tied, and the second feed-forward runs beside the attention"
    if blueprint.kv_heads < 2:
        return "its second layer needs keys and values for two heads"
    if not blueprint.learned_positions and len(wiring.frequencies) == 0:
        return f"heads of width {blueprint.head_width} hold no position"
    if int(_SHARE * divide(blueprint).identity) < _LEAST:
        return f"width {blueprint.width} leaves no room for codes to copy"
    slow = len(slow_entries(blueprint, wiring))
    if slow < _LEAST:
        return f"positions turn all but {slow} entries of a head of width {blueprint.head_width}"
    return None


def slow_entries(blueprint: Blueprint, wiring: Wiring) -> NDArray[np.int64]:
    """Entries of a head that compare content wherever it stands, the least turned first."""
    angles = wiring.frequencies.double().numpy() * seen(blueprint, wiring)
    turns = np.concatenate((angles, angles, np.zeros(blueprint.head_width - 2 * len(angles))))
    order = np.argsort(turns, kind="stable")
    return order[turns[order] <= _SLOW].astype(np.int64)


def place_copy(
    network: Network, held_out: TokenStream, windows: NDArray[np.int64], unigram: NDArray[np.int64]
) -> Network:
    """``network`` with the heads that copy, their sharpness and votes fitted on the windows.

    A head of the first layer writes the identity code of the token before into a buffer. In
    the second, heads compare each token's own code with the buffers and read of those found,
    which stand where this token stood before it, what votes for them
    (:func:`~structinit_core.initializers.closed_form.copy_votes.predicted_votes`) and, unless
    the head of the model is tied, their identity code, which a head of its own can read in a
    buffer; there one more head takes the buffer's content away, so that it reads there what was
    copied and nothing else. A tied head's lift, which moves behind the second layer, empties
    it. The buffer comes out of the identity codes
    (:func:`~structinit_core.initializers.closed_form.room.with_buffer`); where the first
    layer has no keys left, the last heads of it are given up. Half of the second layer's keys
    and values are used at most. Cost: at most fifty passes over 4,096 tokens, and V·d².
    Source: Elhage et al. 2021 (induction heads); by weights as in closed-form note 3.6 and
    prototype section 5, which neither empties the buffer nor weighs votes.
    """
    blueprint, wiring = network.blueprint, network.wiring
    mass = unigram / unigram.sum()
    sample = spread(windows, _SAMPLED_TOKENS)
    at = network.stream.coordinates
    share = _SHARE if at.identity.size else 1 / 2
    slow = slow_entries(blueprint, wiring)
    size = min(_MOST, len(slow), int(share * (at.identity.shape[1] + at.filler.shape[1])))
    standing = _remembering(with_buffer(network, size, mass), size)
    if blueprint.tied:
        lift, *others = standing.stream.units
        built_for = network.mean_factor(held_out, sample, lift.layer)
        lift = replace(lift, layer=lift_layer(blueprint, wiring, 1))
        standing = standing.with_stream(replace(standing.stream, units=(lift, *others)))
    factor = standing.mean_factor(held_out, sample, 1)
    scale = wiring.scales[1] * wiring.rotary_scale**2
    held = max(1, blueprint.kv_heads // 2) * blueprint.head_width
    votes = predicted_votes(standing, held if blueprint.tied else held - size, mass)

    def with_votes(match: dict[str, Any], vote: float) -> Network:
        read, write = votes
        built = _fetching(standing, match, size, (read / factor, vote * write), factor)
        if blueprint.tied:
            return steadied(built, held_out, sample, built_for)
        built = buffer_votes(built, size, unigram)
        buffer = as_float(built.stream.coordinates.buffer).to(built.stream.embed.device)
        return scaled_votes(built, built.gain(held_out, sample, buffer))

    best, least = standing, np.inf
    for sharpness in _SHARPNESS:
        score = sharpness * (np.log(seen(blueprint, wiring)) + 3) / scale
        match, before = _match(standing, size, slow[:size], score, factor), np.inf
        for vote in _VOTES:
            candidate = with_votes(match, vote)
            after = candidate.loss(held_out, sample)
            if after < least:
                best, least = candidate, after
            if after >= before:
                break
            before = after
    return best


def _remembering(network: Network, size: int) -> Network:
    """With a head that writes the code of the token before into the buffer."""
    stream, blueprint = network.stream, network.blueprint
    at, group = stream.coordinates, blueprint.heads // blueprint.kv_heads
    taken = {head.index // group for head in stream.heads if head.layer == 0}
    slot = min(len(taken), blueprint.kv_heads - 1)
    others = tuple(head for head in stream.heads if head.layer or head.index // group < slot)
    offsets = stream.offsets
    if offsets is not None and len(others) < len(stream.heads):
        left = len(others)
        lags, write = offsets.lags[:left], offsets.write[:left]
        offsets = replace(offsets, lags=lags, read=offsets.read[:slot], write=write)
    own, length = own_codes(network, size)
    known = [head.lag or 0 for head in stream.heads if head.layer == 0]
    furthest = max([1, *known]) if _normalised(blueprint) else 1  # one gain for all of a layer
    looking = lag_beam(blueprint, network.wiring, furthest, stream.seed)
    sight = look(looking, 1, at, blueprint, network.wiring)
    head = Head(
        layer=0,
        index=slot * group,
        lag=1,
        **sight,
        **linear_maps(
            blueprint, own / (at.shrink * length), _length(blueprint, _WRITTEN) * at.buffer
        ),
    )
    return network.with_stream(replace(stream, heads=(*others, head), offsets=offsets))


def _match(
    network: Network, size: int, slow: NDArray[np.int64], score: float, factor: float
) -> dict[str, Any]:
    """Queries and keys that compare a token's own code with the buffers, in the entries ``slow``.

    ``score``: what two equal codes are compared to, before the scale of the attention;
    ``factor``: what the second layer's norm multiplies the stream by. Where queries and keys
    are normalised, their gains make the score, and one that is not an entry in ``slow`` is 1.
    """
    blueprint, at = network.blueprint, network.stream.coordinates
    own, length = own_codes(network, size)
    query, key = np.zeros((2, blueprint.head_width, blueprint.width))
    query[slow] = np.sqrt(score) / (factor * length) * own.T
    key[slow] = np.sqrt(score) / (factor * _length(blueprint, _WRITTEN)) * at.buffer.T
    match = {"query": as_float(query), "key": as_float(key)}
    if _normalised(blueprint):
        gain = np.ones(blueprint.head_width)
        gain[slow] = np.sqrt(score / blueprint.head_width)
        match |= {"query_gain": as_float(gain), "key_gain": as_float(gain)}
    return match


def _fetching(
    network: Network, match: dict[str, Any], size: int, votes: tuple[Floats, Floats], factor: float
) -> Network:
    """With the heads of the second layer, as many as it takes to read and add ``votes``.

    Unless the head is tied, they fetch the code into the buffer, too, and one more empties it.
    """
    stream, blueprint = network.stream, network.blueprint
    at, (read, write) = stream.coordinates, votes
    others: list[dict[str, Any]] = []
    if not blueprint.tied:
        own, length = own_codes(network, size)
        read = np.concatenate((own / (factor * length), read), axis=1)
        write = np.concatenate((_length(blueprint, COPIED) * at.buffer, write), axis=1)
        match, empty = _emptying(network, match, factor)
        others.append(empty)
    group, wide = blueprint.heads // blueprint.kv_heads, blueprint.head_width
    parts = [slice(low, low + wide) for low in range(0, read.shape[1], wide)]
    fetching = (match | linear_maps(blueprint, read[:, part], write[:, part]) for part in parts)
    added = enumerate((*fetching, *others))
    heads = (Head(layer=1, index=place * group, **maps) for place, maps in added)
    return network.with_stream(replace(stream, heads=(*stream.heads, *heads)))


def _emptying(
    network: Network, match: dict[str, Any], factor: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``match`` with the gains of its layer, and what a head is that empties the buffer."""
    stream, blueprint, wiring = network.stream, network.blueprint, network.wiring
    at = stream.coordinates
    layer = replace(wiring, scales=wiring.scales[1:], windows=wiring.windows[1:])
    # One gain serves all heads of a layer: the beam leaves the match's entries alone.
    slowest = _SLOW if _normalised(blueprint) else 0.0
    looking = lag_beam(blueprint, layer, 0, stream.seed, slowest)
    sight = look(looking, 0, replace(at, shrink=factor), blueprint, layer)
    if _normalised(blueprint):
        compared = match["query"].any(dim=1)
        gain = torch.where(compared, match["query_gain"], sight["query_gain"])
        gains = {"query_gain": gain, "key_gain": gain}
        match, sight = match | gains, sight | gains
    return match, sight | linear_maps(blueprint, at.buffer / factor, -at.buffer) | {"lag": 0}


def _normalised(blueprint: Blueprint) -> bool:
    """Whether queries and keys are normalised, with one gain for all heads of a layer."""
    return holds(blueprint, Role.Q_NORM, Kind.WEIGHT)


def _length(blueprint: Blueprint, share: float) -> float:
    return float(share * np.sqrt(blueprint.width))
