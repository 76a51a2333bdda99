"""The parts of a compiled graph, and the tensors they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.initializers.closed_form.parts import (
    Head,
    Units,
    Weights,
    write_heads,
    write_units,
)
from structinit_core.initializers.fill import HEAD_RMS
from structinit_core.initializers.stream import Compiled, compiled_stream

_MORE_QUIET = 0.05
"""Of what is no part, over closed-form's, which no map reads."""


@dataclass(frozen=True)
class Answered:
    """K keys that are stored, and with which answers.

    scale: what an answer is multiplied by in the stream; gram: float64 (a, a), Σ y·yᵀ of the
    objects' answer codes; levels: float64 (2S,), the mean
    :func:`~structinit_core.initializers.graph.storing.levels` of each directed relation's keys.
    Of each key: subject, relation: int64 (K,), what it asks, the relation directed; layer, unit:
    int32, where it stands; hub: int32, which signs its objects share, -1 for none; predicted:
    int32, how many of its objects are no links.
    """

    scale: float
    gram: NDArray[np.float64]
    levels: NDArray[np.float64]
    subject: NDArray[np.int64]
    relation: NDArray[np.int64]
    layer: NDArray[np.int32]
    unit: NDArray[np.int32]
    hub: NDArray[np.int32]
    predicted: NDArray[np.int32]

    def __len__(self) -> int:
        """K."""
        return len(self.subject)


@dataclass(frozen=True)
class Kept:
    """What the tensors of a compiled graph do not show, and its growth needs.

    values: float32 (r,), singular values of the codes; scale: what a prediction code is
    multiplied by in a row; longest: the length of the longest right code of a particle;
    directed: relations in the order of their places; maps: float64 (2S, r, r), in that order.
    """

    values: NDArray[np.float32]
    scale: float
    longest: float
    directed: tuple[int, ...]
    maps: NDArray[np.float64]
    answered: Answered


@dataclass(frozen=True)
class GraphParts:
    """Rows, heads and units of a compiled graph: what :class:`Layers` runs."""

    embed: Tensor
    position: Tensor | None
    unembed: Tensor
    heads: tuple[Head, ...]
    units: tuple[Units, ...]

    def tensors(self, blueprint: Blueprint, seed: int) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every stored tensor of the model in blueprint order."""
        weights = Weights(blueprint, seed)
        # The head's rows are as long as the stream's codes are short, and maps lengthen noise.
        quiet = min(1.0, HEAD_RMS / float(self.unembed.square().mean().sqrt())) * _MORE_QUIET
        for layer in range(blueprint.layers):
            for role in (Role.ATTN_OUT, Role.MLP_DOWN):
                weights.weight(role, layer).mul_(quiet)
        write_heads(self.heads, weights)
        write_units(self.units, weights)
        outer: Compiled = {
            (Role.EMBED, Kind.WEIGHT, None): self.embed,
            (Role.HEAD, Kind.WEIGHT, None): self.unembed,
        }
        if self.position is not None:
            outer[Role.POSITION, Kind.WEIGHT, None] = self.position
        return compiled_stream(blueprint, weights.parts | outer, seed)
