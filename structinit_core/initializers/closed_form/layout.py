"""Norm accounting: the codes placed in the residual stream so that every norm is a constant.

Closed-form prototype, section 2, "Writing it into the network"; note 3.3. Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Norm
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.parts import Head, Units, as_float
from structinit_core.initializers.closed_form.rows import (
    Floats,
    carries_constant,
    clip,
    filler,
    padded_bias,
    position_energy,
    position_table,
)
from structinit_core.linalg import basis_without_mean, generator, random_basis

CARRIER_ENERGY = 0.1
"""Share of a token's squared length in the constant direction, where there is one."""
FILLER_DIMENSIONS = 2
"""Identity dimensions that stay random where the others hold what offset heads read."""
_RADIUS = 1.5
"""Common row length over the clip quantile: room for the identity code in every row."""

Moved = TypeVar("Moved")


@dataclass(frozen=True)
class Dimensions:
    """How the d coordinates are divided; LayerNorm loses one more to the all-ones vector."""

    prediction: int
    identity: int
    positions: int


@dataclass(frozen=True)
class Coordinates:
    """Where codes lie in the stream: float64 blocks (d, n) of one orthonormal basis.

    prediction: x, (d, r), which the head reads, or the first feed-forward where it is tied;
    output: (d, r), where the head reads it, the same unless it is tied; identity: f, (d, c),
    that other parts read. filler: random-sign codes that bring tokens to one length and that no
    head reads. carrier: (d, 1), of biases. positions: (d, 2m), empty where they are rotary.
    constant: (d, 1), in which every row holds ``level``, 0 where none does. buffer: (d, n),
    left empty for what heads write; n is 0 until one does. scale: what a code is multiplied
    by; shrink: what the first norm multiplies the stream by; position_length: of a position
    in the stream.
    """

    prediction: Floats
    output: Floats
    identity: Floats
    filler: Floats
    carrier: Floats
    positions: Floats
    constant: Floats
    buffer: Floats
    level: float
    scale: float
    shrink: float
    position_length: float


@dataclass(frozen=True)
class Stream:
    """The logical tensors that carry the codes, and the predictor they are worth.

    embed and head: float32 (V, d), head ``None`` where it is tied; position: float32
    (context, d), ``None`` where positions are rotary; final_bias: float32 (d,), ``None``
    without one. predictor: the bigram as it stands in the stream, long rows clipped. heads
    and units: what is written into the layers; offsets: what the heads were fitted as.
    """

    embed: Tensor
    position: Tensor | None
    head: Tensor | None
    final_bias: Tensor | None
    coordinates: Coordinates
    predictor: LogBilinear
    clipped_rows: int
    seed: int
    heads: tuple[Head, ...] = ()
    units: tuple[Units, ...] = ()
    offsets: OffsetModel | None = None

    @property
    def carrier(self) -> Tensor:
        """The direction of biases: float32 (d,), of length 1."""
        return as_float(self.coordinates.carrier[:, 0]).to(self.embed.device)

    @property
    def unembed(self) -> Tensor:
        """What logits are read with: (V, d)."""
        return self.embed if self.head is None else self.head

    def to(self, device: torch.device) -> Stream:
        """The same with its tensors on ``device``."""
        return moved(self, device)


def divide(blueprint: Blueprint) -> Dimensions:
    """The default division of d coordinates: five eighths predict, the rest identify.

    With a tied head token and output codes share the row: each gets nearly half, and the
    token code and what it is moved to have a filler each beside ``identity``.

    Raises:
        IncompatibleError: d is too small to hold the parts.
    """
    width = blueprint.width
    positions = 2 * max(1, min(8, width // 16)) if blueprint.learned_positions else 0
    lost = 1 if blueprint.norm is Norm.LAYER else 0
    if blueprint.tied:
        identity = max(FILLER_DIMENSIONS, width // 8)
        prediction = (width - lost - 2 - positions - identity - 2 * FILLER_DIMENSIONS) // 2
    else:
        prediction = 5 * width // 8
        identity = width - lost - 1 - positions - prediction
    if identity < 2 or prediction < 2:
        raise IncompatibleError(f"config: width {width} is too small for closed-form, 32 is not")
    return Dimensions(prediction, identity, positions)


def place(
    codes: LogBilinear, blueprint: Blueprint, seed: int, identity: Tensor | None = None
) -> Stream:
    """The codes written into the stream of a model with an untied head.

    Coordinates: prediction x_a (r) | identity code (c) | carrier (1) | positions (2m), rotated
    at random. Every token row has length √d (rms 1): what the prediction code leaves is
    filled by the token's own random-sign identity code. Every learned position has the same
    length p, p² = 0.15·d, in dimensions of its own. So each norm multiplies by the constant
    c₀ = 1/√(1 + p²/d + ε), and logits = head·norm(h) are x_a·w_b + b_b up to rounding.
    The bias reaches the logits through the carrier: LayerNorm's final bias sets it to √d and
    the stream leaves it empty; under RMSNorm every row holds the same value there, and so it
    does where rotary heads have no other constant to look with.
    Tokens beyond the tokenizer's vocabulary get an identity code and a low logit.

    ``identity``, float32 (V, c), are codes that offset heads read: they take the place of the
    random ones but for a filler.
    """
    parts = divide(blueprint)
    source = codes.left if identity is None else torch.cat((codes.left, identity), dim=1)
    rows, clipped, longest = clip(source.double().numpy())
    right = codes.right.double().numpy()
    tokens, rank = codes.left.shape
    known = rows.shape[1]
    width, vocabulary = blueprint.width, blueprint.vocabulary
    spare = parts.identity + parts.prediction - known
    into = coordinates(blueprint, (rank, known - rank, spare, 1, parts.positions), seed)
    carried = np.sqrt(CARRIER_ENERGY * width) if carries_constant(blueprint) else 0.0
    scale = np.sqrt(width - carried**2) / (_RADIUS * longest)
    shrink = 1 / np.sqrt(1 + position_energy(blueprint) + blueprint.norm_epsilon)
    length = np.sqrt(position_energy(blueprint) * width)
    x, f, spare_part, bias_part, position_part = into
    at = Coordinates(
        prediction=x,
        output=x,
        identity=f,
        filler=spare_part,
        carrier=bias_part,
        positions=position_part,
        constant=bias_part,
        buffer=bias_part[:, :0],
        level=float(carried),
        scale=float(scale),
        shrink=float(shrink),
        position_length=float(length),
    )
    embed = np.zeros((vocabulary, width))
    embed[:tokens] = scale * (rows @ np.concatenate((at.prediction, at.identity), axis=1).T)
    embed += filler(embed, np.sqrt(width - carried**2), at.filler, seed, "identity")
    embed += carried * at.carrier.T

    carrier = shrink * carried if carried else np.sqrt(width)
    placed = LogBilinear(as_float(rows[:, :rank]), codes.right, codes.bias)
    head = np.outer(padded_bias(placed, vocabulary) / carrier, at.carrier)
    head[:tokens] += (right / (scale * shrink)) @ at.prediction.T
    return Stream(
        embed=as_float(embed),
        position=position_table(blueprint, at.positions, seed),
        head=as_float(head),
        final_bias=None if carried else as_float(carrier * at.carrier[:, 0]),
        coordinates=at,
        predictor=placed,
        clipped_rows=clipped,
        seed=seed,
    )


def coordinates(blueprint: Blueprint, sizes: Sequence[int], seed: int) -> list[Floats]:
    """Disjoint blocks of a random orthonormal basis of the stream: float64 (d, size) each.

    Under LayerNorm all are orthogonal to the all-ones vector.
    """
    make = basis_without_mean if blueprint.norm is Norm.LAYER else random_basis
    basis = make(blueprint.width, generator(seed, "closed-form", "rotation"))
    return np.split(basis, np.cumsum(sizes), axis=1)[:-1]


def moved(value: Moved, device: torch.device) -> Moved:
    """The same dataclass with every tensor in it, however deep in dataclasses, on ``device``."""

    def move(part: object) -> object:
        if isinstance(part, Tensor):
            return part.to(device)
        if isinstance(part, tuple):
            return tuple(move(each) for each in part)
        if is_dataclass(part) and not isinstance(part, type):
            return replace(part, **{f.name: move(getattr(part, f.name)) for f in fields(part)})
        return part

    return cast("Moved", move(value))
