"""The parts of a compiled graph, and the tensors they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
