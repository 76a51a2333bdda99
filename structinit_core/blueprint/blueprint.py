"""A config read once: its sizes and the ordered tensors of the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from structinit_core.blueprint.roles import TensorSpec


class Norm(StrEnum):
    """The normalisation before every branch and before the head."""

    LAYER = "layer"
    """Mean taken out, divided by the standard deviation; gain and bias."""
    RMS = "rms"
    """Divided by the root mean square; gain only."""


@dataclass(frozen=True)
class Blueprint:
    """Everything an initializer needs to know of a model; no weights.

    Letters: V vocabulary, d width, L layers, H heads, K key/value heads, F feed-forward
    width. ``learned_positions``: a table of positions is added to the embedding (else they
    are rotary). ``gated``: the feed-forward multiplies an activated gate with its input map.
    """

    family: str
    architecture: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    context: int
    norm: Norm
    norm_epsilon: float
    activation: str
    gated: bool
    learned_positions: bool
    tied: bool
    tensors: tuple[TensorSpec, ...]
    config: dict[str, Any]

    @property
    def parameters(self) -> int:
        """Stored scalars; tied tensors count once."""
        return sum(spec.parameters for spec in self.tensors)
