"""Feed-forward units of a graph: one for each key, and relation maps behind gates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.closed_form.parts import ACTIVATIONS, Units, as_float
from structinit_core.initializers.graph.heads import centred, relation_match
from structinit_core.initializers.graph.layout import COPIED, GraphStream
from structinit_core.initializers.graph.tokens import GraphTokens

_SLOPE = 80.0
THRESHOLD = 1.9 * _SLOPE
"""Of the two cosines of a key together; two random identity codes seldom reach 0.8."""
_OPEN = 12.0
"""What goes into the activation behind an open gate: it is the identity there."""

Floats = NDArray[np.float64]


def key_units(
    before: NDArray[np.int64], own: NDArray[np.int64], stream: GraphStream, blueprint: Blueprint
) -> Tensor:
    """What each unit compares, float32 (K, d), above :data:`THRESHOLD` where it fires.

    That is at token ``own`` where the token before it is ``before``, nowhere else.
    """
    at, norm = stream.at, stream.later
    copied = np.sqrt(COPIED * blueprint.width)
    scale = _SLOPE / (norm * np.sqrt(stream.size.own))
    reads = (at.own / stream.length * scale).astype(np.float32)
    others = (at.before_own / copied * scale).astype(np.float32)
    up = stream.identity[own].astype(np.float32) @ reads.T
    up += stream.identity[before].astype(np.float32) @ others.T
    return torch.from_numpy(up)


def as_units(
    layer: int,
    up: Tensor,
    threshold: float,
    down: Tensor,
    stream: GraphStream,
    blueprint: Blueprint,
    linear: Tensor | None = None,
) -> Units:
    """Units down·act(up·h − threshold), in a gated block times ``linear``·h, by default 1.

    The threshold is read off the constant: it is as long as the rest whatever the norm made of
    a row to which others have added.
    """
    constant = as_float(stream.at.constant[:, 0] / (stream.later * stream.level))
    gate = up - threshold * constant
    if not blueprint.gated:
        return Units(layer, gate, down)
    passed = constant.expand(len(up), -1) if linear is None else linear
    return Units(layer, passed.contiguous(), down, gate=gate)


def alone(
    normed: Tensor, up: Tensor, threshold: float, stream: GraphStream, blueprint: Blueprint
) -> Tensor:
    """What unit i of :func:`as_units` passes on of row i of ``normed``: both (n, d), (n,)."""
    act = ACTIVATIONS[blueprint.activation]
    constant = normed @ as_float(stream.at.constant[:, 0] / (stream.later * stream.level))
    fired = act((normed * up).sum(dim=1) - threshold * constant)
    return fired * constant if blueprint.gated else fired


def map_units(
    layer: int,
    directed: Sequence[int],
    maps: Sequence[Floats],
    tokens: GraphTokens,
    stream: GraphStream,
    blueprint: Blueprint,
) -> Units:
    """Relation maps behind gates: x_s·map is added to the prediction code at the relation.

    Of the code of the token before, which the first layer copied. In a gated block one unit
    for each dimension: act(12)·(xᵢ), elsewhere two: act(12 + xᵢ) − act(12 − xᵢ).
    """
    at, norm, rank = stream.at, stream.later, len(maps[0])
    copied = np.sqrt(COPIED * blueprint.width) / stream.length
    read = at.before[:, :rank] / (norm * stream.scale * copied)
    constant = at.constant[:, 0] / (norm * stream.level)
    ups, downs, linears = [], [], []
    for relation, matrix in zip(directed, maps, strict=True):
        match = relation_match(relation, tokens, stream, norm)
        write = stream.scale * at.predict[:, :rank] @ matrix.T
        gate = np.tile(_SLOPE * centred(match, constant), (rank, 1))
        if blueprint.gated:
            ups.append(gate)
            linears.append(read.T)
            downs.append(write / _SLOPE)
        else:
            ups += [gate + read.T, gate - read.T]
            downs += [write / 2, -write / 2]
    up, down = as_float(np.concatenate(ups)), as_float(np.concatenate(downs, axis=1))
    linear = as_float(np.concatenate(linears)) if linears else None
    return as_units(layer, up, 0.0, down, stream, blueprint, linear)
