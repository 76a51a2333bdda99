"""What every layer shares: the inputs, their sizes, the masks and the rotary angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structinit_core.export.graph import Graph
from structinit_core.model import Wiring

PAST, NEW = "past_sequence_length", "sequence_length"
ALL = f"{PAST} + {NEW}"
"""Names of the axes of positions."""


@dataclass(frozen=True)
class Inputs:
    """Names of values in the graph; B batch, S new positions, T new and past ones, N = B · S.

    ``ids`` and ``positions`` (N), ``shape`` (the vector B, S), ``masks``: what is added to
    scores, B × 1 × S × T, for each window. ``cosines`` and ``sines``: B × S × pairs, empty
    where positions are learned. ``past``: whether keys and values of past positions come in.
    """

    ids: str
    positions: str
    shape: str
    masks: dict[int | None, str]
    cosines: str
    sines: str
    past: bool


def make_inputs(graph: Graph, wiring: Wiring, past: bool) -> Inputs:
    """The graph's first nodes. Without ``past``, T = S."""
    ids = graph.input("input_ids", ["batch_size", NEW])
    mask = graph.input("attention_mask", ["batch_size", ALL if past else NEW])
    positions = graph.input("position_ids", ["batch_size", NEW])
    with graph.scope("inputs"):
        shape = graph.op("Shape", ids)
        cosines, sines = _angles(graph, wiring, positions) if len(wiring.frequencies) else ("", "")
        return Inputs(
            ids=graph.op("Reshape", ids, graph.ints(-1)),
            positions=graph.op("Reshape", positions, graph.ints(-1)),
            shape=shape,
            masks=_masks(graph, wiring, shape, mask),
            cosines=cosines,
            sines=sines,
            past=past,
        )


def _masks(graph: Graph, wiring: Wiring, shape: str, mask: str) -> dict[int | None, str]:
    """0 where a query may look, else half the least number: a row of nothing stays finite."""
    total = graph.op("Gather", graph.op("Shape", mask), graph.scalar(1))
    new = graph.op("Gather", shape, graph.scalar(1))
    keys = graph.op("Range", graph.scalar(0), total, graph.scalar(1))
    queries = graph.op("Range", graph.op("Sub", total, new), total, graph.scalar(1))
    queries = graph.op("Unsqueeze", queries, graph.ints(1))
    real = graph.op("Unsqueeze", graph.op("Greater", mask, graph.scalar(0)), graph.ints(1, 2))
    seen = graph.op("And", graph.op("LessOrEqual", keys, queries), real)
    masks = {}
    for window in sorted(set(wiring.windows), key=lambda window: window or 0):
        near = seen
        if window is not None:
            first = graph.op("Sub", queries, graph.scalar(window))
            near = graph.op("And", seen, graph.op("Greater", keys, first))
        least = float(np.finfo(graph.computed).min) / 2
        masks[window] = graph.op("Where", near, graph.number(0.0), graph.number(least))
    return masks


def _angles(graph: Graph, wiring: Wiring, positions: str) -> tuple[str, str]:
    """Cosines and sines of every position's angles, computed in float32."""
    frequencies = graph.constant("frequencies", wiring.frequencies.numpy())
    at = graph.op("Unsqueeze", graph.cast(positions, "float32"), graph.ints(2))
    angles = graph.op("Mul", at, frequencies)
    made = []
    for kind in ("Cos", "Sin"):
        value = graph.op(kind, angles)
        if wiring.rotary_scale != 1:
            value = graph.op("Mul", value, graph.number(wiring.rotary_scale, "float32"))
        made.append(value if graph.computed == "float32" else graph.cast(value, graph.computed))
    return made[0], made[1]
