"""Feed-forward units keyed to pairs of tokens, and their readout by a Newton fit on counts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from structinit_core.blueprint import Kind, Role
from structinit_core.cooc import KneserNey, TrigramRows
from structinit_core.initializers.closed_form.layout import Stream
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.pair_contexts import PairContexts, pair_contexts
from structinit_core.initializers.closed_form.parts import Units, as_float, holds
from structinit_core.initializers.closed_form.reading import (
    Reading,
    Residual,
    left_over,
    read_by_head,
)
from structinit_core.initializers.closed_form.refit import sparse
from structinit_core.initializers.closed_form.sampled_moments import SampledMoments
from structinit_core.initializers.closed_form.solver import EXACT_VOCABULARY, SAMPLED_COLUMNS
from structinit_core.linalg import generator
from structinit_core.progress import Progress

READOUT_PASSES = 4
_CANDIDATES = 32
"""Pairs a unit is chosen from: those of the largest mass."""
_PAIRS_PER_UNIT = 4
"""Fewer counted pairs than this for a unit, and there is nothing to share out."""
_THRESHOLD, _SHARPNESS = 0.7, 8.0
"""Score at which a unit opens, 1 on its own pair, and pre-activations per score."""
_GRAM_RIDGE, _FISHER_RIDGE, _WHITENING_RIDGE = 1e-3, 0.1, 1e-3
"""In units of the mean diagonal."""
_MOMENTUM = 0.5
_LENGTHS: tuple[float, ...] = (0.2, 0.1, 0.05, 0.02)
"""Shares of a Newton step that are tried; peaky contexts are steeper than the mean."""
_LEAST_GAIN = 0.002
"""Nats of held-out loss below which no further layer is fitted."""
_LEAST_STEP = 1e-4
_BATCH = 8192

Judge = Callable[[Network], float]


def place_readouts(
    network: Network,
    far: Collection[tuple[int, int]],
    model: KneserNey,
    judge: Judge,
    progress: Progress,
    samples: dict[str, float] | None = None,
) -> Network:
    """``network`` with its free feed-forward units keyed to the pairs worth most, and fitted.

    Layer by layer, on the stream as the layers below leave it, beginning with the layer that
    moves the codes where the head is tied: a layer's units open on the pairs (a, b) of tokens
    whose mass × KL(KN trigram ‖ prediction) is largest, by linear discriminant; what they
    write is fitted to all pairs by damped Newton steps, residual of each pair and mean
    Gauss-Newton matrix, each as long as ``judge`` says. The target's discounts are its
    shrinkage, so nothing is fitted to the counts as they are. ``far``: layer and index of the
    heads that read further back than a pair; the fit does without them, since its pairs have
    no further past and it would unlearn them. It ends with the first layer worth less than
    0.002 nats. Above 16,384 tokens a prediction takes drawn columns, 2,048 a
    pass, beside the likely followers, and ``samples`` is told how many and with what error.
    Cost: 2·V·r multiply-adds a pair and pass, 6,400·r from drawn columns; memory a block of
    logits and 4 bytes a pair and unit. Deterministic for a seed, device and thread count.
    Source: ours (closed-form note 3.7).
    """
    blueprint, stream = network.blueprint, network.stream
    reading = read_by_head(network, model.vocabulary)
    units = blueprint.feed_forward
    pairs = pair_contexts(TrigramRows(model), reading.columns, units * _CANDIDATES, stream.seed)
    drawn = drawn_columns(model, stream)
    best = judge(network)
    first = stream.units[0].layer if blueprint.tied else 0
    for layer in range(first, blueprint.layers):
        used = sum(len(part.up) for part in network.stream.units if part.layer == layer)
        count = min(units - used, len(pairs.ids) // _PAIRS_PER_UNIT)
        if count <= 0:
            continue
        progress.stage(f"readouts of layer {layer}", READOUT_PASSES)
        near = without(network, far)
        left = left_over(near, stream_after(near, pairs.ids), reading, pairs, drawn)
        value = pairs.weight * (left.loss - pairs.spread)
        chosen = torch.sort(value, descending=True, stable=True).indices[:count]
        part = keyed(near, pairs, chosen, layer)
        network, after = fitted(
            network, near, part, left, pairs, reading, drawn, judge, best, progress
        )
        gain, best = best - after, after
        if gain < _LEAST_GAIN:
            break
    if drawn is not None and samples is not None:
        samples |= {
            "readout_columns": SAMPLED_COLUMNS,
            "readout_columns_certain_mass": drawn.certain_mass,
            "readout_log_normalizer_error": drawn.error,
        }
    return network


def drawn_columns(model: KneserNey, stream: Stream) -> SampledMoments | None:
    """What estimates predictions where there are too many columns to take them all."""
    if model.vocabulary <= EXACT_VOCABULARY:
        return None
    draw = generator(stream.seed, "closed-form", "readout columns")
    followers = sparse(model.direct(), stream.embed.device)
    return SampledMoments(followers, model.unigram, SAMPLED_COLUMNS, draw)


def without(network: Network, heads: Collection[tuple[int, int]]) -> Network:
    """The network without the heads of these layers and indices."""
    kept = tuple(head for head in network.stream.heads if (head.layer, head.index) not in heads)
    return replace(network, stream=replace(network.stream, heads=kept))


def stream_after(network: Network, ids: Tensor, before: int | None = None) -> Tensor:
    """The residual stream at the last token of each run, (n, d); as ``Network.residual``."""
    parts = (network.residual(part, before)[:, -1] for part in torch.split(ids, _BATCH))
    return torch.cat(tuple(parts))


def keyed(network: Network, pairs: PairContexts, chosen: Tensor, layer: int) -> Units:
    """Units that open on one of the ``chosen`` pairs each, and write nothing yet.

    The score of unit j is its pair's whitened codes times a context's, 1 on the pair itself.
    """
    at, blueprint = network.stream.coordinates, network.blueprint
    known = np.concatenate((at.prediction, at.identity), axis=1)
    if blueprint.tied and layer > network.stream.units[0].layer:
        known = at.output
    read = as_float(known).to(pairs.ids.device)
    normed = network.normalised(stream_after(network, pairs.ids, layer))
    codes = normed @ read
    mean = pairs.weight @ codes
    codes -= mean
    key = torch.cholesky_solve(
        codes[chosen].T, damped((codes * pairs.weight[:, None]).T @ codes, _WHITENING_RIDGE)
    ).T
    key *= _SHARPNESS / (key * codes[chosen]).sum(dim=1, keepdim=True)
    bias, up = -_SHARPNESS * _THRESHOLD - key @ mean, key @ read.T
    down = up.new_zeros(blueprint.width, len(up))
    if holds(blueprint, Role.MLP_UP, Kind.BIAS):
        return Units(layer, up, down, bias=bias)
    constant = as_float(at.constant[:, 0]).to(pairs.ids.device)
    constant = constant / (pairs.weight @ (normed @ constant))
    up = up + torch.outer(bias, constant)
    if not blueprint.gated:
        return Units(layer, up, down)
    return Units(layer, constant.expand_as(up).contiguous(), down, gate=up)


def fitted(
    network: Network,
    near: Network,
    part: Units,
    left: Residual,
    pairs: PairContexts,
    reading: Reading,
    drawn: SampledMoments | None,
    judge: Judge,
    best: float,
    progress: Progress,
) -> tuple[Network, float]:
    """``network`` with what ``part`` writes fitted on ``near``, and what ``judge`` says of it.

    left: what is to be predicted before it writes. The same network where no step lowers ``best``.
    """
    hidden = stream_after(near, pairs.ids)
    normed = near.normalised(stream_after(near, pairs.ids, part.layer))
    active, codes = near.activated(part, normed), reading.basis[:, :-1]
    gram = damped((active * pairs.weight[:, None]).T @ active, _GRAM_RIDGE)
    write = active.new_zeros(active.shape[1], codes.shape[1])
    velocity, standing, lengths = torch.zeros_like(write), network, _LENGTHS
    for done in range(READOUT_PASSES):
        if done:
            left = left_over(near, hidden + active @ write @ codes.T, reading, pairs, drawn)
        step = newton_step(active, left, pairs.weight, gram) + _MOMENTUM * velocity
        for length in lengths:
            down = (codes @ (write + length * step).T).contiguous()
            candidate = network.with_units(replace(part, down=down))
            if (after := judge(candidate)) < best - _LEAST_STEP:
                break
        else:
            break
        standing, best = candidate, after
        lengths = tuple(each for each in lengths if each <= length)
        velocity, write = length * step, write + length * step
        progress.advance()
    return standing, best


def newton_step(active: Tensor, left: Residual, weight: Tensor, gram: Tensor) -> Tensor:
    """(A + λ)⁻¹·Aᵀg·(F + μ)⁻¹: what units with these activations should write, (units, r).

    active: (n, units); gram: the Cholesky factor of A = Σ weight·active·activeᵀ, damped.
    Source: closed-form note 3.7.
    """
    moments = active.T @ (left.slope * weight.unsqueeze(1))
    half = torch.cholesky_solve(moments, gram)
    return torch.cholesky_solve(half.T, damped(left.curvature, _FISHER_RIDGE)).T


def damped(matrix: Tensor, ridge: float) -> Tensor:
    """The Cholesky factor of ``matrix`` plus ``ridge`` times its mean diagonal.

    Of a broken matrix it holds NaN, or nothing of use: no step made of it is then kept.
    """
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    factor, _ = torch.linalg.cholesky_ex(matrix + ridge * matrix.diagonal().mean() * identity)
    return cast("Tensor", factor)
