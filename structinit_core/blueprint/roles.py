"""What a stored tensor is: its role, shape, orientation, heads and tie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The part a logical matrix or vector plays in a decoder."""

    EMBED = "embed"
    POSITION = "position"
    ATTN_Q = "attn_q"
    ATTN_K = "attn_k"
    ATTN_V = "attn_v"
    ATTN_OUT = "attn_out"
    MLP_GATE = "mlp_gate"
    MLP_UP = "mlp_up"
    MLP_DOWN = "mlp_down"
    Q_NORM = "q_norm"
    K_NORM = "k_norm"
    ATTN_NORM = "attn_norm"
    MLP_NORM = "mlp_norm"
    FINAL_NORM = "final_norm"
    HEAD = "head"


class Kind(StrEnum):
    """Whether a tensor multiplies (weight, norm gain) or is added (bias)."""

    WEIGHT = "weight"
    BIAS = "bias"


class Orientation(StrEnum):
    """How a logical output × input matrix lies in the file."""

    OUT_IN = "out_in"
    IN_OUT = "in_out"
    """Transposed, as GPT-2's Conv1D stores it."""


@dataclass(frozen=True, slots=True)
class HeadSplit:
    """Attention heads along the output axis of q, k, v (the input axis of the output map)."""

    count: int
    width: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One stored tensor.

    ``roles`` are the logical matrices it holds, stacked along the output axis in this order
    (one, or q, k, v of a fused projection), each ``logical_shape`` in output × input form;
    ``per_head``: head by head, each head's rows of all roles together, as GPT-NeoX does.
    ``tied_to`` names the tensor whose values this one shares; such a tensor is not stored.
    """

    name: str
    roles: tuple[Role, ...]
    kind: Kind
    layer: int | None
    shape: tuple[int, ...]
    orientation: Orientation = Orientation.OUT_IN
    heads: HeadSplit | None = None
    per_head: bool = False
    tied_to: str | None = None

    @property
    def logical_shape(self) -> tuple[int, ...]:
        """Shape of one logical part, output axis first."""
        shape = self.shape[::-1] if self.orientation is Orientation.IN_OUT else self.shape
        return (shape[0] // len(self.roles), *shape[1:])

    @property
    def parameters(self) -> int:
        """Number of scalars; 0 for a tied tensor."""
        count = 0 if self.tied_to else 1
        for size in self.shape:
            count *= size
        return count
