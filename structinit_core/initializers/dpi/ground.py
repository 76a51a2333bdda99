"""What the weights of a layer are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from structinit_core.blueprint import Role
from structinit_core.initializers.dpi.bases import Manifold

Parts = dict[Role, Tensor]
"""Logical matrices of one layer, output × input."""


@dataclass(frozen=True)
class Ground:
    """What a layer is made of: its input's components, cluster centres, the cosine basis.

    ``clusters(k)``: centres of k clusters of the layer's input. ``previous``: W1 and W_Q of
    the layer before, kept only where they are mixed in.
    """

    manifold: Manifold
    centres: Tensor | None
    cosines: Tensor | None
    clusters: Callable[[int], Tensor]
    previous: Parts
