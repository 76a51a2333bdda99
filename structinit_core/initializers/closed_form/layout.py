"""Norm accounting: the codes placed in the residual stream so that LayerNorm is a constant.

Coordinates, orthogonal to the all-ones vector and then rotated at random:
prediction x_a (r) | identity code (c) | bias direction (1, empty in the stream) | positions (2m).
Closed-form prototype, section 2, "Writing it into the network". Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear, least_log_normalizer
from structinit_core.linalg import basis_without_mean, generator

_CLIP_QUANTILE = 0.9995
_RADIUS = 1.5
"""Common row length over that quantile: room for the identity code in every row."""
_POSITION_ENERGY = 0.15
"""Squared length of a position over that of a token."""
_PADDING_MASS = 12.0
"""All rows beyond the tokenizer's vocabulary get at most exp(-12) of any prediction."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dimensions:
    """How the d coordinates are divided; one more is lost to the all-ones vector."""

    prediction: int
    identity: int
    positions: int


@dataclass(frozen=True)
class Stream:
    """The logical tensors that carry the codes, and the predictor they are worth.

    embed and head: float32 (V, d); position: float32 (context, d); final_bias: float32 (d,).
    predictor: the codes as they stand in the stream, long rows clipped.
    """

    embed: Tensor
    position: Tensor
    head: Tensor
    final_bias: Tensor
    predictor: LogBilinear
    clipped_rows: int


def divide(width: int) -> Dimensions:
    """The default division of d coordinates: five eighths predict, the rest identify.

    Raises:
        IncompatibleError: d is too small to hold the parts.
    """
    positions = 2 * max(1, min(8, width // 16))
    prediction = 5 * width // 8
    identity = width - 2 - positions - prediction
    if identity < 2:
        raise IncompatibleError(f"config: width {width} is too small for closed-form, 16 is not")
    return Dimensions(prediction, identity, positions)


def place(codes: LogBilinear, blueprint: Blueprint, seed: int) -> Stream:
    """The codes written into the stream of ``blueprint``.

    Every token row has length √d (rms 1): what the prediction code leaves is filled by the
    token's own random-sign identity code. Every position has the same length p, p² = 0.15·d,
    in dimensions of its own. So each LayerNorm multiplies by c₀ = 1/√(1 + p²/d + ε), and
    logits = head·LN(h) are x_a·w_b + b_b up to rounding. The bias reaches the logits through
    the final norm's bias, √d along a direction that the stream leaves empty.
    Tokens beyond the tokenizer's vocabulary get an identity code and a low logit.
    """
    dimensions = divide(blueprint.width)
    left, clipped, radius = _clip(codes.left.double().numpy())
    right, bias = codes.right.double().numpy(), codes.bias.double().numpy()
    width, tokens, rank = blueprint.width, len(bias), left.shape[1]
    basis = basis_without_mean(width, generator(seed, "closed-form", "rotation"))
    parts = np.cumsum([rank, dimensions.identity + dimensions.prediction - rank, 1])
    into_prediction, into_identity, into_bias, into_positions, _ = np.split(
        basis, [*parts, parts[-1] + dimensions.positions], axis=1
    )
    scale = np.sqrt(width) / radius
    signs = generator(seed, "closed-form", "identity").choice(
        (-1.0, 1.0), (blueprint.vocabulary, into_identity.shape[1])
    )
    amplitude = np.full(blueprint.vocabulary, radius)
    amplitude[:tokens] = np.sqrt(np.maximum(radius**2 - (left**2).sum(axis=1), 0.0))
    identity = signs * (amplitude / np.sqrt(into_identity.shape[1]))[:, None]
    embed = scale * (identity @ into_identity.T)
    embed[:tokens] += scale * (left @ into_prediction.T)

    shrink = 1 / np.sqrt(1 + _POSITION_ENERGY + blueprint.norm_epsilon)
    predictor = LogBilinear(_float(left), codes.right, codes.bias)
    logits = np.full(blueprint.vocabulary, bias.min())
    logits[:tokens] = bias
    if blueprint.vocabulary > tokens:
        spare = np.log(blueprint.vocabulary - tokens) + _PADDING_MASS
        logits[tokens:] = min(bias.min(), least_log_normalizer(predictor) - spare)
    head = np.outer((logits - logits.mean()) / np.sqrt(width), into_bias)
    head[:tokens] += (right / (scale * shrink)) @ into_prediction.T
    return Stream(
        embed=_float(embed),
        position=_float(_positions(blueprint, dimensions.positions) @ into_positions.T),
        head=_float(head),
        final_bias=_float(np.sqrt(width) * into_bias[:, 0]),
        predictor=predictor,
        clipped_rows=clipped,
    )


def _clip(left: Floats) -> tuple[Floats, int, float]:
    """Rows no longer than the clip quantile, how many were, and the common radius."""
    lengths = np.linalg.norm(left, axis=1)
    longest = max(float(np.quantile(lengths, _CLIP_QUANTILE, method="lower")), 1e-6)
    factors = np.minimum(1.0, longest / np.maximum(lengths, 1e-30))
    return left * factors[:, None], int((lengths > longest).sum()), _RADIUS * longest


def _positions(blueprint: Blueprint, dimensions: int) -> Floats:
    """Cosine and sine pairs of one length for every position: float64 (context, 2m).

    Frequencies fall geometrically from 1 to about one turn over the context.
    """
    pairs = dimensions // 2
    slowest = min(1.0, 2 * np.pi / blueprint.context)
    frequencies = slowest ** (np.arange(pairs) / max(pairs - 1, 1))
    angles = np.arange(blueprint.context)[:, None] * frequencies
    length = np.sqrt(_POSITION_ENERGY * blueprint.width / pairs)
    table: Floats = length * np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    return table


def _float(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
