"""Where the codes of a graph stand in the residual stream, every norm a known constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Norm
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form import LogBilinear, clip
from structinit_core.initializers.closed_form.layout import coordinates
from structinit_core.initializers.closed_form.rows import position_energy, position_table
from structinit_core.initializers.graph.signs import codes_apart, distinct_signs, random_signs
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

CARRIED, PREDICTED, OWN = 0.1, 0.4, 0.4
"""Shares of a token's squared length: constant and kind each, prediction code, identity code."""
COPIED = 0.4
"""Squared length of each code copied from the token before, over that of a token."""
_FILLERS = 2
_ROOM = 1.05
"""Length of a prediction code with its fillers, over the longest code."""
_KINDS = 3
_LEAST, _CODE = 8, 32
_ANSWER_BITS = 3
"""Answer dimensions for each bit of a token's number, before prediction codes have more than 8."""
_BLOCK_ELEMENTS = 1 << 22

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GraphDimensions:
    """Sizes of the blocks of coordinates; one head copies ``predict`` + fillers, one ``own``."""

    predict: int
    own: int
    answer: int
    positions: int

    @property
    def blocks(self) -> tuple[int, ...]:
        """In the order of :class:`GraphCoordinates`."""
        code = self.predict + _FILLERS
        return (code, self.own, code, self.own, self.answer, 1, _KINDS, self.positions)


@dataclass(frozen=True)
class GraphCoordinates:
    """Orthonormal blocks (d, n) of the stream, float64.

    predict: the prediction code (fillers last), which the head reads; own: the token's
    identity code; before, before_own: the same of the token before, written by the first
    layer; answer: what the feed-forward writes and the head reads; constant: the same in every
    row; kinds: of the frame, of relations, of particles, the same in the rows of each; positions:
    of learned positions.
    """

    predict: Floats
    own: Floats
    before: Floats
    before_own: Floats
    answer: Floats
    constant: Floats
    kinds: Floats
    positions: Floats


@dataclass(frozen=True)
class GraphStream:
    """The rows of a compiled graph and what norms make of them.

    embed: float32 (V, d); position as in closed-form. codes: as they stand in the rows, long
    ones clipped; of a graph that has grown those of the new tokens. identity: int8 (V, own), the
    signs of the identity codes. level: of the constant, and of a row's kind. scale: what a
    prediction code is multiplied by. first, later: what norms before and after the first
    attention multiply the stream by. length: of an identity code in a row; position_length: of
    a position.
    """

    embed: Tensor
    position: Tensor | None
    at: GraphCoordinates
    size: GraphDimensions
    codes: LogBilinear
    identity: NDArray[np.int8]
    level: float
    scale: float
    first: float
    later: float
    length: float
    position_length: float
    seed: int


def divide_graph(blueprint: Blueprint) -> GraphDimensions:
    """The division of d: one head's width for each of the two codes, the rest for answers.

    Where d is narrow for the vocabulary, of b bits, an identity code has at least b + 1
    dimensions, which tell all tokens apart, and answers 3b rather than long prediction codes.

    Raises:
        IncompatibleError: d is too small.
    """
    width = blueprint.width
    positions = 2 * max(1, min(8, width // 16)) if blueprint.learned_positions else 0
    lost = 1 if blueprint.norm is Norm.LAYER else 0
    bits = blueprint.vocabulary.bit_length()
    code = min(blueprint.head_width, max(_CODE, width // 10), width // 6)
    own = min(blueprint.head_width, max(code, bits + 1))
    free = width - lost - positions - 1 - _KINDS - 2 * own
    code = min(code, max(_LEAST + _FILLERS, (free - _ANSWER_BITS * bits) // 2))
    answer = free - 2 * code
    if code - _FILLERS < _LEAST or answer < _LEAST:
        raise IncompatibleError(
            f"width {width} with heads of {blueprint.head_width} is too small for a graph, "
            "96 with heads of 16 is not"
        )
    return GraphDimensions(code - _FILLERS, own, answer, positions)


def place_graph(
    codes: LogBilinear, tokens: GraphTokens, blueprint: Blueprint, seed: int, added: float = 0.0
) -> GraphStream:
    """Rows of length √d: constant | kind | prediction code and fillers | identity code.

    ``added`` is the largest length of what maps add to a prediction code, in its own units: it
    stays half the length of a token's. New particles change no row while the vocabulary has as
    many bits. Cost V·d².
    """
    rows, _, longest = clip(codes.left.double().numpy())
    # Heads that are not asked read the frame: it adds nothing.
    rows[FRAME_ID] = 0
    scale = np.sqrt(PREDICTED * blueprint.width) / (_ROOM * max(longest, 2 * added))
    clipped = LogBilinear(torch.from_numpy(rows.astype(np.float32)), codes.right, codes.bias)
    return placed(rows, clipped, float(scale), tokens, blueprint, seed)


def longest_code(scale: float, width: int) -> float:
    """How long a prediction code may be that is multiplied by ``scale`` in a row."""
    return float(np.sqrt(PREDICTED * width) / (_ROOM * scale))


def placed(
    rows: Floats,
    codes: LogBilinear,
    scale: float,
    tokens: GraphTokens,
    blueprint: Blueprint,
    seed: int,
    earlier: Tensor | None = None,
) -> GraphStream:
    """The stream of prediction codes ``rows`` (n, r), none longer than :func:`longest_code`.

    They are of the last n tokens; ``earlier`` (V - n, d) are the rows of all others, as they
    stand in a checkpoint. ``codes`` are those of the n tokens. Cost n·d².
    """
    size, width = divide_graph(blueprint), blueprint.width
    at = GraphCoordinates(*coordinates(blueprint, size.blocks, seed))
    room = np.sqrt(PREDICTED * width)
    rows_count = tokens.vocabulary
    fillers = random_signs((rows_count, _FILLERS), seed, "fillers")
    identity = distinct_signs(rows_count, size.own, seed)
    identity[1 : tokens.first_particle] = codes_apart(tokens.slots, size.own, seed)
    level, length = np.sqrt(CARRIED * width), np.sqrt(OWN * width)
    kinds = np.full(rows_count, 2)
    kinds[1 : tokens.first_particle], kinds[FRAME_ID] = 1, 0
    embed = np.empty((rows_count, width), np.float32)
    known = rows_count - len(rows)
    if earlier is not None:
        embed[:known] = earlier.numpy()
    part = max(1, _BLOCK_ELEMENTS // width)
    for low in range(known, rows_count, part):
        some = slice(low, low + part)
        code = scale * rows[low - known : low - known + part]
        missing = np.sqrt(np.maximum(room**2 - (code**2).sum(axis=1), 0) / _FILLERS)
        filled = fillers[some] * missing[:, None]
        own = length / np.sqrt(size.own) * identity[some]
        parts = np.concatenate((code, filled), axis=1) @ at.predict.T + own @ at.own.T
        parts += level * (at.constant.T + at.kinds.T[kinds[some]])
        embed[some] = parts
    first, later = norms(blueprint)
    return GraphStream(
        embed=torch.from_numpy(embed),
        position=position_table(blueprint, at.positions, seed),
        at=at,
        size=size,
        codes=codes,
        identity=identity,
        level=float(level),
        scale=float(scale),
        first=first,
        later=later,
        length=float(length),
        position_length=float(np.sqrt(position_energy(blueprint) * width)),
        seed=seed,
    )


def norms(blueprint: Blueprint) -> tuple[float, float]:
    """What norms multiply the stream by: before the first attention, and later."""
    energy = 1 + position_energy(blueprint) + blueprint.norm_epsilon
    return float(energy**-0.5), float((energy + 2 * COPIED) ** -0.5)
