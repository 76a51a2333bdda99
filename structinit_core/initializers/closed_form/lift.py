"""An exact linear map through the first feed-forward, whatever its activation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.parts import ACTIVATIONS, Units, as_float

_OPEN_GATE = 2.0
"""Pre-activation of a gate where none takes out the norm."""
_GATES = torch.linspace(-8.0, 0.0, 8001, dtype=torch.float64)
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


def lift_units(lift: LinearMap, blueprint: Blueprint, layer: int = 0) -> Units:
    """The first feed-forward units of ``layer``, which compute ``lift``.

    Each activation here has g(u) − g(−u) = u, so two units with opposite signs are linear;
    behind a gate that reads only the constant, one unit is. Where attention has changed the
    norm by a factor κ, pairs compute κ times the map; behind :func:`steady_gate` units compute
    the map itself up to (1 − κ)².
    Source: closed-form note 3.3, "Tied head"; the gate is ours.
    """
    read, write, gates = lift.read.T, lift.write / lift.shrink, None
    if blueprint.gated:
        opening = steady_gate(blueprint.activation)
        opened = ACTIVATIONS[blueprint.activation](torch.tensor(opening, dtype=torch.float64))
        gate = lift.constant * opening / (lift.shrink * lift.level)
        gates = as_float(np.tile(gate, (len(read), 1)))
        write = write / float(opened)
    else:
        read, write = np.concatenate((read, -read)), np.concatenate((write, -write), axis=1)
    return Units(layer, as_float(read), as_float(write), gates)


def steady_gate(activation: str) -> float:
    """The pre-activation u < 0 at which κ·g(κ·u) is stationary in κ at 1: that of u·g(u).

    2 for an activation without one.
    """
    products = _GATES * ACTIVATIONS[activation](_GATES)
    best = int(products.argmax())
    return float(_GATES[best]) if float(products[best]) > 0 else _OPEN_GATE


def at_norm(units: Units, factor: float) -> Units:
    """``units`` of a :func:`lift_units` for a norm that multiplies by ``factor`` times as much."""
    gate = None if units.gate is None else units.gate / factor
    return replace(units, down=units.down / factor, gate=gate)
