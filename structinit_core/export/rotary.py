"""Rotary positions: pairs of a head's entries turned by an angle that grows with position."""

from __future__ import annotations

from structinit_core.blueprint import Blueprint
from structinit_core.export.graph import Graph
from structinit_core.export.inputs import Inputs
from structinit_core.model import Wiring


def rotate(graph: Graph, blueprint: Blueprint, wiring: Wiring, inputs: Inputs, heads: str) -> str:
    """``heads`` (B × H × S × width) turned; entries beyond the rotated ones stay.

    Entry ``i`` is paired with entry ``i + pairs`` (Su et al., RoFormer, eq. 34, in the order
    of halves that transformers stores).
    """
    pairs = len(wiring.frequencies)
    rest = blueprint.head_width - 2 * pairs
    if graph.opset >= 23:
        return graph.op(
            "RotaryEmbedding",
            heads,
            inputs.cosines,
            inputs.sines,
            rotary_embedding_dim=2 * pairs if rest else 0,
        )
    cosines = graph.op("Unsqueeze", inputs.cosines, graph.ints(1))
    sines = graph.op("Unsqueeze", inputs.sines, graph.ints(1))
    sizes = [pairs, pairs, *([rest] if rest else [])]
    one, other, *kept = graph.ops("Split", len(sizes), heads, graph.ints(*sizes), axis=-1)
    turned = (
        graph.op("Sub", graph.op("Mul", one, cosines), graph.op("Mul", other, sines)),
        graph.op("Add", graph.op("Mul", other, cosines), graph.op("Mul", one, sines)),
    )
    return graph.op("Concat", *turned, *kept, axis=-1)
