"""A compiled graph read back from its checkpoint, as far as growth needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Orientation, Role, TensorSpec
from structinit_core.initializers.closed_form.layout import coordinates
from structinit_core.initializers.graph.fold_in import Codes
from structinit_core.initializers.graph.layout import GraphCoordinates, divide_graph, norms
from structinit_core.initializers.graph.parts import Kept
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.linalg import FactorReport, TruncatedSvd


@dataclass(frozen=True)
class Earlier:
    """A compiled graph before it grew; read: a stored tensor by its name."""

    tokens: GraphTokens
    blueprint: Blueprint
    seed: int
    kept: Kept
    read: Callable[[str], Tensor]

    def part(self, role: Role, layer: int | None, kind: Kind = Kind.WEIGHT) -> Tensor:
        """A logical matrix (output, input) or vector; a view of what is stored."""
        spec = spec_of(self.blueprint, role, layer, kind)
        tensor = self.read(spec.name)
        whole = tensor.T if spec.orientation is Orientation.IN_OUT else tensor
        return whole.chunk(len(spec.roles))[spec.roles.index(role)]

    @property
    def coordinates(self) -> GraphCoordinates:
        """The blocks of the stream."""
        blocks = divide_graph(self.blueprint).blocks
        return GraphCoordinates(*coordinates(self.blueprint, blocks, self.seed))

    def codes(self, embed: Tensor, head: Tensor) -> Codes:
        """The prediction codes that stand in rows and in the head, (V, d) both."""
        predict = self.coordinates.predict[:, : len(self.kept.values)]
        _, later = norms(self.blueprint)
        scale = self.kept.scale

        def left(ids: NDArray[np.int64]) -> NDArray[np.float64]:
            return embed.numpy()[ids].astype(np.float64) @ predict / scale

        def right(ids: NDArray[np.int64]) -> NDArray[np.float64]:
            return head.numpy()[ids].astype(np.float64) @ predict * (scale * later)

        return Codes(len(embed), left, right, self.kept.values.astype(np.float64))


def spec_of(blueprint: Blueprint, role: Role, layer: int | None, kind: Kind) -> TensorSpec:
    """The stored tensor that holds a role."""
    return next(
        spec
        for spec in blueprint.tensors
        if role in spec.roles and spec.layer == layer and spec.kind is kind
    )


def earlier_factors(earlier: Earlier, tokens: GraphTokens) -> TruncatedSvd | None:
    """The subspaces of the codes to start from, with rows of 0 for new tokens.

    ``None`` where particles stand behind other tokens than before.
    """
    if tokens.first_particle != earlier.tokens.first_particle:
        return None
    codes = earlier.codes(earlier.part(Role.EMBED, None), earlier.part(Role.HEAD, None))
    sides = []
    for of in (codes.left, codes.right):
        side = np.zeros((tokens.vocabulary, len(codes.values)), np.float32)
        side[: codes.count] = of(np.arange(codes.count))
        sides.append(side / np.maximum(np.linalg.norm(side, axis=0), np.float32(1e-30)))
    report = FactorReport((), None, 0, 0, converged=False)
    return TruncatedSvd(sides[0], earlier.kept.values, sides[1], report)
