"""How what was copied raises a logit: codes to read, and what turns them into votes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.initializers.closed_form.room import regressed

COPIED = 0.3
"""Length in the stream of a copied code, over that of a token."""
_VOTE = 2.0
"""Nats by which the buffer raises the logit of a copied token on average, before that is fitted."""
_UNSEEN = 0.5
"""Count of a token that was never counted, for how surprising it is."""
_RIDGE = 1e-6
"""Of the largest eigenvalue, what smaller ones count as."""

Floats = NDArray[np.float64]


def own_codes(network: Network, size: int) -> tuple[Floats, float]:
    """Coordinates of the codes that are matched and copied, (d, size), and their rms length."""
    own = network.stream.coordinates.filler[:, :size]
    rows = network.stream.embed.double().cpu().numpy() @ own
    return own, float(np.sqrt((rows**2).sum(axis=1).mean()))


def predicted_votes(network: Network, size: int, mass: Floats) -> tuple[Floats, Floats]:
    """What a head reads of a token and adds to the prediction, so that it votes for it.

    Both (d, n), n at most ``size``: the canonical directions of the output codes w and of what
    the stream holds of the token, those first in which it tells most of w. What is added is
    S·ŵ, ŵ the part of w that is read and S the inverse of Σ p·w·wᵀ: the logit of b rises by
    w_b·S·ŵ_a, most for rare tokens, and for the token itself by 1 nat on average. Where the
    head is tied, rows hold w itself. ``mass``: float64 (V,), p. Cost: V·d² multiply-adds.
    Source: ours (canonical correlations, Hotelling 1936).
    """
    stream, at = network.stream, network.stream.coordinates
    held = at.output
    if not network.blueprint.tied:
        held = np.concatenate((at.prediction, at.identity, at.filler), axis=1)
    right = stream.predictor.right.double().cpu().numpy()
    rows = stream.embed[: len(mass)].double().cpu().numpy() @ held
    values, axes = np.linalg.eigh(right.T @ (mass[:, None] * right))
    axes /= np.sqrt(np.maximum(values, _RIDGE * values[-1]))
    rule = regressed(rows, right @ axes, mass)
    told = rows @ rule
    _, directions = np.linalg.eigh(told.T @ (mass[:, None] * told))
    first = directions[:, ::-1][:, :size]
    read, write = rule @ first, axes @ first
    rise = mass @ ((rows @ read) * (right @ write)).sum(axis=1)
    return held @ read, at.scale / max(rise, _RIDGE) * at.prediction @ write


def buffer_votes(network: Network, size: int, unigram: NDArray[np.int64]) -> Network:
    """With a head, of its own, that reads the buffer too.

    Logits rise in proportion to log 1/p for a token whose code alone was copied there.
    """
    stream = network.stream
    tokens, mass = len(unigram), unigram / unigram.sum()
    own, length = own_codes(network, size)
    rows = stream.embed[:tokens].double().cpu().numpy() @ own
    surprise = -np.log(np.maximum(unigram, _UNSEEN) / unigram.sum())
    copied = COPIED * np.sqrt(network.blueprint.width)
    rise = _VOTE * surprise / (mass @ surprise) * length / copied
    votes = rows * (rise / (rows**2).sum(axis=1))[:, None]
    head = stream.unembed.double().cpu().numpy().copy()
    head[:tokens] += (votes - mass @ votes) @ stream.coordinates.buffer.T
    return _with_head(network, head)


def scaled_votes(network: Network, gain: float) -> Network:
    """With what the head reads in the buffer multiplied by ``gain``."""
    buffer = network.stream.coordinates.buffer
    head = network.stream.unembed.double().cpu().numpy()
    return _with_head(network, head + (gain - 1) * (head @ buffer) @ buffer.T)


def _with_head(network: Network, head: Floats) -> Network:
    return network.with_stream(replace(network.stream, head=as_float(head)))
