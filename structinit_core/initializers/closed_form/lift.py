"""An exact linear map through the first feed-forward, whatever its activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.fill import filled
from structinit_core.initializers.stream import Compiled

_GATE = 2.0
"""Pre-activation of every gate that is held open."""
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda u: functional.gelu(u, approximate="tanh"),
    "gelu_pytorch_tanh": lambda u: functional.gelu(u, approximate="tanh"),
    "quick_gelu": lambda u: u * torch.sigmoid(1.702 * u),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearMap:
    """h ← h + write·(readᵀ·h): read and write float64 (d, n).

    shrink: what the feed-forward's norm multiplies the stream by. constant: float64 (d,), a
    direction in which every token holds the value ``level``; it opens the gates.
    """

    read: Floats
    write: Floats
    shrink: float
    constant: Floats
    level: float


def units_needed(reads: int, gated: bool) -> int:
    """Feed-forward units for a map with that many inputs: a pair each, or one behind a gate."""
    return reads if gated else 2 * reads


def refuse_narrow(blueprint: Blueprint, reads: int) -> None:
    """Refuse a feed-forward too narrow for the map.

    Raises:
        IncompatibleError: with the width it would need.
    """
    needed = units_needed(reads, blueprint.gated)
    if needed > blueprint.feed_forward:
        raise IncompatibleError(
            f"config: a tied head needs {needed} feed-forward units, there are "
            f"{blueprint.feed_forward}",
            hint='widen the feed-forward, or set "tie_word_embeddings": false',
        )


def lift_tensors(lift: LinearMap, blueprint: Blueprint, seed: int) -> Compiled:
    """The first layer's feed-forward matrices with ``lift`` in their first units.

    Each activation here has g(u) − g(−u) = u, so two units with opposite signs are linear;
    behind a gate that reads only the constant, one unit is. The other units keep their fill.
    Source: closed-form note 3.3, "Tied head".
    """
    used = units_needed(lift.read.shape[1], blueprint.gated)
    parts = {
        role: filled(blueprint, role, seed)
        for role in (Role.MLP_GATE, Role.MLP_UP, Role.MLP_DOWN)
        if role is not Role.MLP_GATE or blueprint.gated
    }
    read, write = lift.read.T, lift.write / lift.shrink
    if blueprint.gated:
        opened = _ACTIVATIONS[blueprint.activation](torch.tensor(_GATE, dtype=torch.float64))
        gate = lift.constant * _GATE / (lift.shrink * lift.level)
        parts[Role.MLP_GATE][:used] = torch.from_numpy(gate)
        write = write / float(opened)
    else:
        read, write = np.concatenate((read, -read)), np.concatenate((write, -write), axis=1)
    parts[Role.MLP_UP][:used] = torch.from_numpy(np.ascontiguousarray(read))
    parts[Role.MLP_DOWN][:, :used] = torch.from_numpy(np.ascontiguousarray(write))
    return {(role, Kind.WEIGHT, 0): part for role, part in parts.items()}
