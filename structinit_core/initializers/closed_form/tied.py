"""The codes in one table that is embedding and head at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Norm
from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import (
    CARRIER_ENERGY,
    FILLER_DIMENSIONS,
    Coordinates,
    Stream,
    coordinates,
    divide,
    place,
)
from structinit_core.initializers.closed_form.lift import (
    LinearMap,
    at_norm,
    lift_units,
    refuse_narrow,
)
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.initializers.closed_form.rows import (
    Floats,
    clip,
    filler,
    padded_bias,
    position_energy,
    position_table,
)
from structinit_core.model import Wiring

_MARGIN = 1.05
_IDENTITY_LENGTH = 0.5
"""The longest identity code over the longest prediction code."""
_MOVED_SHARE, _MOVED_SHARE_GATED = 0.07, 0.3
"""Share of a row's energy that is moved: small, for what heads add to it changes the norm.

Behind gates the norm matters less, and a larger share takes smaller weights to move.
"""
_PREDICTION_SHARE = 0.6
"""Share of the final normalised stream's energy in the prediction and its filler."""
_BIAS_ENERGY = 0.05
"""Energy, as a share of a token's, of the constant that carries the bias under RMSNorm."""


def tied_reads(blueprint: Blueprint) -> int:
    """Inputs of the linear map a tied head needs."""
    parts = divide(blueprint)
    fillers = parts.identity + FILLER_DIMENSIONS
    return 2 * parts.prediction + fillers + 1 + (blueprint.norm is Norm.RMS)


def lift_layer(blueprint: Blueprint, wiring: Wiring, after: int = 0) -> int:
    """The first layer whose feed-forward takes in what the heads of layer ``after`` have added."""
    return after + 1 if wiring.parallel and blueprint.layers > after + 1 else after


def place_tied(
    codes: LogBilinear,
    blueprint: Blueprint,
    seed: int,
    identity: Tensor | None = None,
    *,
    layer: int = 0,
) -> Stream:
    """The codes written into a model whose head is its embedding.

    A row holds the token's own code x_a and, in other coordinates, its output code w_a and
    bias b_a. Coordinates: x (r) | w (r) | bias (1) | identity code (c) | filler of x (2) |
    filler of the rest | buffer (2) | constant (1) | positions (2m). The feed-forward of
    ``layer``, exactly linear, moves x, and what heads have added to it, into the coordinates
    of w and its filler into the buffer, and erases all else of the row; so the head reads
    x_a·w_b + b_b, and every norm is a constant as long as heads add nothing: the rows have
    one length, and so have the moved codes. Rows are longer than √d where the logits need it.
    Rank is about halved against an untied head. Source: closed-form note 3.3, ours.

    ``identity``, float32 (V, c), are codes that offset heads read; the rest of their
    coordinates is filler.

    Raises:
        IncompatibleError: the feed-forward is too narrow.
    """
    refuse_narrow(blueprint, tied_reads(blueprint))
    parts = divide(blueprint)
    left, clipped_left, longest = clip(codes.left.double().numpy())
    right, clipped_right, _ = clip(codes.right.double().numpy())
    tokens, rank = left.shape
    known, clipped_known = _shortened(identity, tokens, _IDENTITY_LENGTH * longest)
    width, rows = blueprint.width, blueprint.vocabulary
    count = known.shape[1]
    spare = parts.identity + parts.prediction - rank - count
    sizes = (rank, rank, 1, count, FILLER_DIMENSIONS, spare, FILLER_DIMENSIONS, 1, parts.positions)
    into = coordinates(blueprint, sizes, seed)
    into_x, into_w, into_bias, into_f, into_fill_x, into_fill_w, into_buffer, *into = into
    into_constant, into_p = into

    # The stream before the final norm, per unit of token energy: moved codes and the rest.
    rms = blueprint.norm is Norm.RMS
    rest = CARRIER_ENERGY + position_energy(blueprint) + (_BIAS_ENERGY if rms else 0.0)
    final = rest / (1 - _PREDICTION_SHARE)
    carrier = np.sqrt(_BIAS_ENERGY / final * width) if rms else np.sqrt(width)
    predictor = LogBilinear(as_float(left), as_float(right), codes.bias)
    bias = padded_bias(predictor, rows) / carrier
    w_scale = _MARGIN * longest / np.sqrt(_PREDICTION_SHARE * width)
    moved_share = _MOVED_SHARE_GATED if blueprint.gated else _MOVED_SHARE
    moved_group, group = moved_share * width, (1 - CARRIER_ENERGY - moved_share) * width
    scale = np.sqrt(moved_group) / (_MARGIN * longest)
    needed = bias**2
    needed[:tokens] += (_MARGIN * w_scale * np.linalg.norm(right, axis=1)) ** 2
    left_over = np.full(rows, group)
    left_over[:tokens] -= (scale * known) ** 2 @ np.ones(count)
    stretch = max(1.0, float(np.sqrt((needed / left_over).max())))
    radius, scale = stretch * np.sqrt(moved_group), stretch * scale

    x_part, w_part = np.zeros((rows, width)), np.outer(bias, into_bias)
    x_part[:tokens] = scale * (left @ into_x.T)
    w_part[:tokens] += w_scale * (right @ into_w.T) + scale * (known @ into_f.T)
    x_part += filler(x_part, radius, into_fill_x, seed, "identity")
    w_part += filler(w_part, stretch * np.sqrt(group), into_fill_w, seed, "output filler")
    level = stretch * np.sqrt(CARRIER_ENERGY * width)
    embed = x_part + w_part + level * into_constant.T

    epsilon = blueprint.norm_epsilon
    token_energy = stretch**2 * width
    others = rest * token_energy + epsilon * width
    moved = np.sqrt(_PREDICTION_SHARE / (1 - _PREDICTION_SHARE) * others) / radius
    read = [into_x, into_w, into_bias, into_fill_x, into_f, into_fill_w]
    write = [
        moved * into_w - into_x,
        -into_w,
        -into_bias,
        moved * into_buffer - into_fill_x,
        -into_f,
        -into_fill_w,
    ]
    if rms:
        read.append(into_constant)
        write.append(np.sqrt(_BIAS_ENERGY * token_energy) / level * into_bias)
    shrink = 1 / np.sqrt(stretch**2 * (1 + position_energy(blueprint)) + epsilon)
    lift = LinearMap(
        read=np.concatenate(read, axis=1),
        write=np.concatenate(write, axis=1),
        shrink=float(shrink),
        constant=into_constant[:, 0],
        level=float(level),
    )
    length = stretch * np.sqrt(position_energy(blueprint) * width)
    return Stream(
        embed=as_float(embed),
        position=position_table(blueprint, into_p, seed, stretch),
        head=None,
        final_bias=None if rms else as_float(carrier * into_bias[:, 0]),
        coordinates=Coordinates(
            prediction=into_x,
            output=into_w,
            identity=into_f,
            filler=into_fill_w,
            carrier=into_bias,
            positions=into_p,
            constant=into_constant,
            buffer=into_constant[:, :0],
            level=float(level),
            scale=float(scale),
            shrink=float(shrink),
            position_length=float(length),
        ),
        predictor=predictor,
        clipped_rows=clipped_left + clipped_right + clipped_known,
        seed=seed,
        units=(lift_units(lift, blueprint, layer),),
    )


def _shortened(codes: Tensor | None, tokens: int, longest: float) -> tuple[Floats, int]:
    """Codes (V, c) with no row longer than that, none for ``None``, and how many were."""
    if codes is None:
        return np.zeros((tokens, 0)), 0
    rows = codes.double().numpy()
    factors = np.minimum(1.0, longest / np.maximum(np.linalg.norm(rows, axis=1), 1e-30))
    return rows * factors[:, None], int((factors < 1).sum())


def steadied(
    network: Network, stream: TokenStream, windows: NDArray[np.int64], built_for: float
) -> Network:
    """With the lift of a tied head set for the norm that heads leave on the windows.

    ``built_for``: what that norm multiplied the stream by when it was built.
    """
    lift, *others = network.stream.units
    factor = network.mean_factor(stream, windows, lift.layer)
    units = (at_norm(lift, factor / built_for), *others)
    return replace(network, stream=replace(network.stream, units=units))


def place_codes(
    codes: LogBilinear,
    blueprint: Blueprint,
    wiring: Wiring,
    seed: int,
    identity: Tensor | None = None,
) -> Stream:
    """The codes in the stream of a model with a head of its own, or a tied one."""
    if not blueprint.tied:
        return place(codes, blueprint, seed, identity)
    layer = lift_layer(blueprint, wiring)
    return place_tied(codes, blueprint, seed, identity, layer=layer)
