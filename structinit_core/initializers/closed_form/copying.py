"""Copying in two layers: what followed the last time the token stood here is likelier again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.corpus import TokenStream, spread
from structinit_core.initializers.closed_form.attention import lag_beam, look, seen
from structinit_core.initializers.closed_form.layout import Stream, divide
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import Head, as_float, holds, linear_maps
from structinit_core.initializers.closed_form.room import with_buffer
from structinit_core.model import Wiring, read_wiring

_LEAST, _MOST = 8, 32
"""Dimensions of the codes that are matched and copied."""
_SHARE = 4 / 9
"""Of the identity dimensions, where heads read the rest; as many go to the buffer."""
_WRITTEN, _COPIED = 0.4, 0.3
"""Length in the stream of a remembered and of a copied code, over that of a token."""
_VOTE = 2.0
"""Nats by which the logit of a copied token rises on average, before that is fitted."""
_SHARPNESS = (0.8, 1.2)
"""Score of a match over log T + 3, to choose from on held-out text."""
_SLOW = 1.0
"""Radians that a rotated pair may turn over all that is seen, and still compare content."""
_UNSEEN = 0.5
"""Count of a token that was never counted, for how surprising it is."""
_SAMPLED_TOKENS = 1 << 12

Floats = NDArray[np.float64]


def copy_obstacle(blueprint: Blueprint) -> str | None:
    """Why the copy heads cannot be compiled into this model, or ``None``."""
    if blueprint.tied:
        return "the head is tied"
    if blueprint.layers < 2:
        return "it takes two layers"
    if blueprint.kv_heads < 2:
        return "its second layer needs keys and values for two heads"
    if holds(blueprint, Role.Q_NORM, Kind.WEIGHT):
        return "queries and keys are normalised"
    if not blueprint.learned_positions and len(read_wiring(blueprint).frequencies) == 0:
        return f"heads of width {blueprint.head_width} hold no position"
    if int(_SHARE * divide(blueprint).identity) < _LEAST:
        return f"width {blueprint.width} leaves no room for codes to copy"
    slow = len(slow_entries(blueprint, read_wiring(blueprint)))
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
    """``network`` with the heads that copy, their sharpness and vote fitted on the windows.

    A head of the first layer writes the identity code of the token before into a buffer. In
    the second, one head compares each token's own code with the buffers and fetches the codes
    of those found, which stand where this token stood before it; another takes the buffer's
    content away, so that the head of the model reads there what was copied and nothing else.
    Votes are in proportion to how surprising a token is. The buffer comes out of the identity
    codes (:func:`~structinit_core.initializers.closed_form.room.with_buffer`); where the first
    layer has no keys left, the last heads of it are given up. Cost: eight passes over at most
    4,096 tokens, and V·d². Source: Elhage et al. 2021 (induction heads); by weights as in
    closed-form note 3.6 and prototype section 5, which neither empties the buffer nor weighs
    votes.
    """
    blueprint, wiring = network.blueprint, network.wiring
    mass = unigram / unigram.sum()
    sample = spread(windows, _SAMPLED_TOKENS)
    at = network.stream.coordinates
    share = _SHARE if at.identity.size else 1 / 2
    slow = slow_entries(blueprint, wiring)
    size = min(_MOST, len(slow), int(share * (at.identity.shape[1] + at.filler.shape[1])))
    standing = _remembering(with_buffer(network, size, mass), size)
    factor = standing.mean_factor(held_out, sample, 1)
    scale = wiring.scales[1] * wiring.rotary_scale**2
    buffer = as_float(standing.stream.coordinates.buffer).to(standing.stream.embed.device)
    best, least = standing, np.inf
    for sharpness in _SHARPNESS:
        score = sharpness * (np.log(seen(blueprint, wiring)) + 3) / scale
        candidate = _voting(_fetching(standing, size, slow, score, factor), size, unigram)
        candidate = _scaled(candidate, candidate.gain(held_out, sample, buffer))
        after = candidate.loss(held_out, sample)
        if after < least:
            best, least = candidate, after
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
    own, length = _codes(network, size)
    looking = lag_beam(blueprint, network.wiring, 1, stream.seed)
    sight = look(looking, 1, at, blueprint, network.wiring)
    _length(blueprint, _WRITTEN)
    head = Head(
        layer=0,
        index=slot * group,
        lag=1,
        **sight,
        **linear_maps(
            blueprint, own / (at.shrink * length), _length(blueprint, _WRITTEN) * at.buffer
        ),
    )
    return _with(network, replace(stream, heads=(*others, head), offsets=offsets))


def _fetching(
    network: Network, size: int, slow: NDArray[np.int64], score: float, factor: float
) -> Network:
    """With the heads of the second layer, whose norm multiplies the stream by ``factor``.

    ``score``: what two equal codes are compared to, before the scale of the attention.
    """
    stream, blueprint, wiring = network.stream, network.blueprint, network.wiring
    at, written = stream.coordinates, _length(blueprint, _WRITTEN)
    own, length = _codes(network, size)
    query, key = np.zeros((2, blueprint.head_width, blueprint.width))
    query[slow[:size]] = np.sqrt(score) / (factor * length) * own.T
    key[slow[:size]] = np.sqrt(score) / (factor * written) * at.buffer.T
    match = Head(
        layer=1,
        index=0,
        query=as_float(query),
        key=as_float(key),
        **linear_maps(blueprint, own / (factor * length), _length(blueprint, _COPIED) * at.buffer),
    )
    layer = replace(wiring, scales=wiring.scales[1:], windows=wiring.windows[1:])
    looking = lag_beam(blueprint, layer, 0, stream.seed)
    empty = Head(
        layer=1,
        index=blueprint.heads // blueprint.kv_heads,
        lag=0,
        **look(looking, 0, replace(at, shrink=factor), blueprint, layer),
        **linear_maps(blueprint, at.buffer / factor, -at.buffer),
    )
    return _with(network, replace(stream, heads=(*stream.heads, match, empty)))


def _voting(network: Network, size: int, unigram: NDArray[np.int64]) -> Network:
    """With logits that rise in proportion to log 1/p for a token that was copied alone."""
    stream = network.stream
    tokens, mass = len(unigram), unigram / unigram.sum()
    own, length = _codes(network, size)
    codes = stream.embed[:tokens].double().cpu().numpy() @ own
    surprise = -np.log(np.maximum(unigram, _UNSEEN) / unigram.sum())
    rise = _VOTE * surprise / (mass @ surprise) * length / _length(network.blueprint, _COPIED)
    votes = codes * (rise / (codes**2).sum(axis=1))[:, None]
    head = stream.unembed.double().cpu().numpy().copy()
    head[:tokens] += (votes - mass @ votes) @ stream.coordinates.buffer.T
    return _with(network, replace(stream, head=as_float(head)))


def _scaled(network: Network, gain: float) -> Network:
    """With the votes for what was copied multiplied by ``gain``."""
    stream, buffer = network.stream, network.stream.coordinates.buffer
    head = stream.unembed.double().cpu().numpy()
    scaled = head + (gain - 1) * (head @ buffer) @ buffer.T
    return _with(network, replace(stream, head=as_float(scaled)))


def _codes(network: Network, size: int) -> tuple[Floats, float]:
    """Coordinates of the codes that are matched and copied, (d, size), and their rms length."""
    own = network.stream.coordinates.filler[:, :size]
    codes = network.stream.embed.double().cpu().numpy() @ own
    return own, float(np.sqrt((codes**2).sum(axis=1).mean()))


def _length(blueprint: Blueprint, share: float) -> float:
    return float(share * np.sqrt(blueprint.width))


def _with(network: Network, stream: Stream) -> Network:
    return replace(network, stream=stream).to(network.stream.embed.device)
