"""Norm accounting: the codes placed in the residual stream so that every norm is a constant.

Closed-form prototype, section 2, "Writing it into the network"; note 3.3. Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Norm
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear, least_log_normalizer
from structinit_core.initializers.closed_form.lift import LinearMap
from structinit_core.linalg import basis_without_mean, generator, random_basis

POSITION_ENERGY = 0.15
"""Squared length of a position over that of a token."""
CARRIER_ENERGY = 0.1
"""Share of a token's squared length in the constant direction, where there is one."""
_CLIP_QUANTILE = 0.9995
_RADIUS = 1.5
"""Common row length over that quantile: room for the identity code in every row."""
_PADDING_MASS = 12.0
"""All rows beyond the tokenizer's vocabulary get at most exp(-12) of any prediction."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dimensions:
    """How the d coordinates are divided; LayerNorm loses one more to the all-ones vector."""

    prediction: int
    identity: int
    positions: int


@dataclass(frozen=True)
class Stream:
    """The logical tensors that carry the codes, and the predictor they are worth.

    embed and head: float32 (V, d), head ``None`` where it is tied; position: float32
    (context, d), ``None`` where positions are rotary; final_bias: float32 (d,), ``None``
    without one. lift: what the first feed-forward does to a tied embedding. predictor: the
    codes as they stand in the stream, long rows clipped.
    """

    embed: Tensor
    position: Tensor | None
    head: Tensor | None
    final_bias: Tensor | None
    lift: LinearMap | None
    predictor: LogBilinear
    clipped_rows: int


def divide(blueprint: Blueprint) -> Dimensions:
    """The default division of d coordinates: five eighths predict, the rest identify.

    With a tied head token and output codes share the row: each gets nearly half.

    Raises:
        IncompatibleError: d is too small to hold the parts.
    """
    width = blueprint.width
    positions = 2 * max(1, min(8, width // 16)) if blueprint.learned_positions else 0
    lost = 1 if blueprint.norm is Norm.LAYER else 0
    if blueprint.tied:
        identity = max(2, width // 32)
        prediction = (width - lost - 2 - positions - 3 * identity) // 2
    else:
        prediction = 5 * width // 8
        identity = width - lost - 1 - positions - prediction
    if identity < 2 or prediction < 2:
        raise IncompatibleError(f"config: width {width} is too small for closed-form, 32 is not")
    return Dimensions(prediction, identity, positions)


def place(codes: LogBilinear, blueprint: Blueprint, seed: int) -> Stream:
    """The codes written into the stream of a model with an untied head.

    Coordinates: prediction x_a (r) | identity code (c) | carrier (1) | positions (2m), rotated
    at random. Every token row has length √d (rms 1): what the prediction code leaves is
    filled by the token's own random-sign identity code. Every learned position has the same
    length p, p² = 0.15·d, in dimensions of its own. So each norm multiplies by the constant
    c₀ = 1/√(1 + p²/d + ε), and logits = head·norm(h) are x_a·w_b + b_b up to rounding.
    The bias reaches the logits through the carrier: LayerNorm's final bias sets it to √d and
    the stream leaves it empty; under RMSNorm every row holds the same value there.
    Tokens beyond the tokenizer's vocabulary get an identity code and a low logit.
    """
    parts = divide(blueprint)
    left, clipped, longest = clip(codes.left.double().numpy())
    right = codes.right.double().numpy()
    tokens, rank = left.shape
    width, rows = blueprint.width, blueprint.vocabulary
    spare = parts.identity + parts.prediction - rank
    into = coordinates(blueprint, (rank, spare, 1, parts.positions), seed)
    carried = np.sqrt(CARRIER_ENERGY * width) if blueprint.norm is Norm.RMS else 0.0
    scale = np.sqrt(width - carried**2) / (_RADIUS * longest)
    embed = np.zeros((rows, width))
    embed[:tokens] = scale * (left @ into[0].T)
    embed += filler(embed, np.sqrt(width - carried**2), into[1], seed, "identity")
    embed += carried * into[2].T

    shrink = 1 / np.sqrt(1 + position_energy(blueprint) + blueprint.norm_epsilon)
    carrier = shrink * carried if carried else np.sqrt(width)
    predictor = LogBilinear(as_float(left), codes.right, codes.bias)
    head = np.outer(padded_bias(predictor, rows) / carrier, into[2])
    head[:tokens] += (right / (scale * shrink)) @ into[0].T
    return Stream(
        embed=as_float(embed),
        position=positions(blueprint, into[3]),
        head=as_float(head),
        final_bias=None if carried else as_float(carrier * into[2][:, 0]),
        lift=None,
        predictor=predictor,
        clipped_rows=clipped,
    )


def coordinates(blueprint: Blueprint, sizes: Sequence[int], seed: int) -> list[Floats]:
    """Disjoint blocks of a random orthonormal basis of the stream: float64 (d, size) each.

    Under LayerNorm all are orthogonal to the all-ones vector.
    """
    make = basis_without_mean if blueprint.norm is Norm.LAYER else random_basis
    basis = make(blueprint.width, generator(seed, "closed-form", "rotation"))
    return np.split(basis, np.cumsum(sizes), axis=1)[:-1]


def clip(rows: Floats) -> tuple[Floats, int, float]:
    """Rows no longer than the clip quantile, how many were, and that length."""
    lengths = np.linalg.norm(rows, axis=1)
    longest = max(float(np.quantile(lengths, _CLIP_QUANTILE, method="lower")), 1e-6)
    factors = np.minimum(1.0, longest / np.maximum(lengths, 1e-30))
    return rows * factors[:, None], int((lengths > longest).sum()), longest


def filler(rows: Floats, radius: float, into: Floats, seed: int, name: str) -> Floats:
    """Random-sign codes in the coordinates ``into`` that bring each row to length ``radius``."""
    size = into.shape[1]
    signs = generator(seed, "closed-form", name).choice((-1.0, 1.0), (len(rows), size))
    missing = np.sqrt(np.maximum(radius**2 - (rows**2).sum(axis=1), 0.0) / size)
    codes: Floats = (signs * missing[:, None]) @ into.T
    return codes


def padded_bias(predictor: LogBilinear, rows: int) -> Floats:
    """Centred biases of ``rows`` tokens; those beyond the predictor's are improbable."""
    bias = predictor.bias.double().numpy()
    padding = rows - len(bias)
    padded = np.full(rows, bias.min())
    padded[: len(bias)] = bias
    if padding:
        bound = least_log_normalizer(predictor) - np.log(padding) - _PADDING_MASS
        padded[len(bias) :] = min(float(bias.min()), float(bound))
    centred: Floats = padded - padded.mean()
    return centred


def position_energy(blueprint: Blueprint) -> float:
    """Squared length of a position over that of a token; 0 where positions are rotary."""
    return POSITION_ENERGY if blueprint.learned_positions else 0.0


def positions(blueprint: Blueprint, into: Floats, scale: float = 1.0) -> Tensor | None:
    """Cosine and sine pairs of one length for every position: float32 (context, d).

    Frequencies fall geometrically from 1 to about one turn over the context.
    """
    if not blueprint.learned_positions:
        return None
    pairs = into.shape[1] // 2
    slowest = min(1.0, 2 * np.pi / blueprint.context)
    frequencies = slowest ** (np.arange(pairs) / max(pairs - 1, 1))
    angles = np.arange(blueprint.context)[:, None] * frequencies
    length = scale * np.sqrt(POSITION_ENERGY * blueprint.width / pairs)
    table = length * np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    return as_float(table @ into.T)


def as_float(values: Floats) -> Tensor:
    """A contiguous float32 tensor of the values."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
