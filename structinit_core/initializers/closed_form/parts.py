"""What is compiled into a layer: attention heads and feed-forward units, and their tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.fill import filled
from structinit_core.initializers.stream import Compiled

Floats = NDArray[np.float64]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda u: functional.gelu(u, approximate="tanh"),
    "gelu_pytorch_tanh": lambda u: functional.gelu(u, approximate="tanh"),
    "quick_gelu": lambda u: u * torch.sigmoid(1.702 * u),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}


@dataclass(frozen=True)
class Head:
    """One head of a layer, in units of the layer's normalised stream.

    query, key, value: float32 (h, d); output: (d, h). ``index`` counts query heads; heads
    that share keys and values hold the same ones. ``query_gain`` and ``key_gain``: (h,), where
    the family normalises them; one for all heads of a layer. The biases (h,) are 0 if ``None``.
    ``lag``: how far back it looks; ``None`` where the text decides. ``asks``: the token at which
    alone it adds anything; ``None`` where that is any.
    """

    layer: int
    index: int
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    query_bias: Tensor | None = None
    key_bias: Tensor | None = None
    query_gain: Tensor | None = None
    key_gain: Tensor | None = None
    lag: int | None = None
    asks: int | None = None


@dataclass(frozen=True)
class Units:
    """Feed-forward units of one layer: down·(act(up·h + bias)), or down·(act(gate·h)·(up·h)).

    up and gate: float32 (n, d); down: (d, n); bias: (n,), 0 if ``None``. Of a layer's units
    those of the first part come first.
    """

    layer: int
    up: Tensor
    down: Tensor
    gate: Tensor | None = None
    bias: Tensor | None = None


@dataclass
class Weights:
    """Logical parts of a model that start as its fill and are overwritten in rows."""

    blueprint: Blueprint
    seed: int
    parts: Compiled = field(default_factory=dict)

    def weight(self, role: Role, layer: int) -> Tensor:
        """The matrix of ``role``, output × input, to write into."""
        at = (role, Kind.WEIGHT, layer)
        if at not in self.parts:
            self.parts[at] = filled(self.blueprint, role, layer, self.seed)
        return self.parts[at]

    def bias(self, role: Role, layer: int) -> Tensor:
        """The bias of ``role``, zero so far, to write into."""
        at = (role, Kind.BIAS, layer)
        if at not in self.parts:
            self.parts[at] = torch.zeros(len(self.weight(role, layer)))
        return self.parts[at]


def write_heads(heads: Sequence[Head], weights: Weights) -> None:
    """Write ``heads`` over the rows of their own; other heads keep their fill.

    Where ``heads`` set the gains of normalised queries and keys, the rows of the fill are
    divided by them, so that it keeps its direction.
    """
    blueprint = weights.blueprint
    size, group = blueprint.head_width, blueprint.heads // blueprint.kv_heads
    gains = {head.layer: (head.query_gain, head.key_gain) for head in heads}
    for layer, each in gains.items():
        for role, gain in zip((Role.ATTN_Q, Role.ATTN_K), each, strict=True):
            if gain is not None:
                weights.weight(role, layer).view(-1, size, blueprint.width).div_(gain[:, None])
    for head in heads:
        own = slice(head.index * size, (head.index + 1) * size)
        shared = slice(head.index // group * size, (head.index // group + 1) * size)
        weights.weight(Role.ATTN_Q, head.layer)[own] = head.query
        weights.weight(Role.ATTN_K, head.layer)[shared] = head.key
        weights.weight(Role.ATTN_V, head.layer)[shared] = head.value
        weights.weight(Role.ATTN_OUT, head.layer)[:, own] = head.output
        if head.query_bias is not None:
            weights.bias(Role.ATTN_Q, head.layer)[own] = head.query_bias
        if head.key_bias is not None:
            weights.bias(Role.ATTN_K, head.layer)[shared] = head.key_bias
        if head.query_gain is not None:
            weights.weight(Role.Q_NORM, head.layer)[:] = head.query_gain
        if head.key_gain is not None:
            weights.weight(Role.K_NORM, head.layer)[:] = head.key_gain


def write_units(units: Sequence[Units], weights: Weights) -> None:
    """Write ``units`` over the first of their layer, in order; the others keep their fill.

    Raises:
        IncompatibleError: a layer's feed-forward is too narrow for them.
    """
    used: dict[int, int] = {}
    for part in units:
        first = used.get(part.layer, 0)
        last = used[part.layer] = first + len(part.up)
        if last > weights.blueprint.feed_forward:
            raise IncompatibleError(
                f"config: layer {part.layer} needs {last} feed-forward units, there are "
                f"{weights.blueprint.feed_forward}"
            )
        rows = slice(first, last)
        weights.weight(Role.MLP_UP, part.layer)[rows] = part.up
        weights.weight(Role.MLP_DOWN, part.layer)[:, rows] = part.down
        if part.gate is not None:
            weights.weight(Role.MLP_GATE, part.layer)[rows] = part.gate
        if part.bias is not None:
            weights.bias(Role.MLP_UP, part.layer)[rows] = part.bias


def linear_maps(blueprint: Blueprint, read: Floats, write: Floats) -> dict[str, Any]:
    """Value and output of a :class:`Head` that adds write·readᵀ·h: both float64 (d, n)."""
    value, size = np.zeros((blueprint.head_width, blueprint.width)), read.shape[1]
    output = np.zeros_like(value.T)
    value[:size], output[:, :size] = read.T, write
    return {"value": as_float(value), "output": as_float(output)}


def holds(blueprint: Blueprint, role: Role, kind: Kind) -> bool:
    """Whether the model's layers have such a tensor."""
    return any(spec.kind is kind and role in spec.roles for spec in blueprint.tensors)


def as_float(values: NDArray[np.float64]) -> Tensor:
    """A contiguous float32 tensor of the values."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
