"""The parts of a compiled graph, and the tensors they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
from structinit_core.initializers.stream import Compiled, compiled_stream


@dataclass(frozen=True)
class Kept:
    """What the tensors of a compiled graph do not show, and its growth needs.

    values: float32 (r,), singular values of the codes; scale: what a prediction code is
    multiplied by in a row; directed: relations in the order of their places; answer: what an
    answer is multiplied by; gram: float64 (a, a), Σ y·yᵀ of the objects' answer codes; levels:
    float64 (2S,), the mean :func:`~structinit_core.initializers.graph.storing.levels` of each
    directed relation's keys; layer and unit: int32 (K,), where each key is stored; hub: int32
    (K,), which signs its objects share, -1 for none.
    """

    values: NDArray[np.float32]
    scale: float
    directed: tuple[int, ...]
    answer: float = 0.0
    gram: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    levels: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    layer: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    unit: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    hub: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True)
class GraphParts:
    """Rows, heads and units of a compiled graph: what :class:`Layers` runs."""

    embed: Tensor
    position: Tensor | None
    unembed: Tensor
    heads: tuple[Head, ...]
    units: tuple[Units, ...]
    kept: Kept | None = None

    def tensors(self, blueprint: Blueprint, seed: int) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Every stored tensor of the model in blueprint order."""
        weights = Weights(blueprint, seed)
        write_heads(self.heads, weights)
        write_units(self.units, weights)
        outer: Compiled = {
            (Role.EMBED, Kind.WEIGHT, None): self.embed,
            (Role.HEAD, Kind.WEIGHT, None): self.unembed,
        }
        if self.position is not None:
            outer[Role.POSITION, Kind.WEIGHT, None] = self.position
        return compiled_stream(blueprint, weights.parts | outer, seed)
