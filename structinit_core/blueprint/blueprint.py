"""A config read once: its sizes and the ordered tensors of the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from structinit_core.blueprint.roles import TensorSpec


@dataclass(frozen=True)
class Blueprint:
    """Everything an initializer needs to know of a model; no weights.

    Letters: V vocabulary, d width, L layers, H heads, F feed-forward width.
    """

    family: str
    architecture: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    context: int
    norm_epsilon: float
    tied: bool
    tensors: tuple[TensorSpec, ...]
    config: dict[str, Any]

    @property
    def head_width(self) -> int:
        """D / H."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """Stored scalars; tied tensors count once."""
        return sum(spec.parameters for spec in self.tensors)
