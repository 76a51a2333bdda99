"""Attention of one layer over new and past positions, with grouped heads."""

from __future__ import annotations

from structinit_core.blueprint import Blueprint, Role
from structinit_core.export.graph import Graph
from structinit_core.export.inputs import PAST, Inputs
from structinit_core.export.layers import Layer
from structinit_core.export.rotary import rotate
from structinit_core.model import Wiring


def attend(
    layer: Layer, at: int, wiring: Wiring, inputs: Inputs, rows: str
) -> tuple[str, list[str]]:
    """The output map of layer ``at``'s attention over ``rows`` (N × d): N × d.

    And, if there is a past, keys and values of past and new positions, B × K × T × width;
    ``past_key_values.{at}.key|value`` are then made inputs of the graph.
    """
    graph, blueprint = layer.graph, layer.blueprint
    query, key, value = _heads(layer, inputs, rows)
    if len(wiring.frequencies):
        query, key = (rotate(graph, blueprint, wiring, inputs, part) for part in (query, key))
    mask, scale = inputs.masks[wiring.windows[at]], wiring.scales[at]
    pasts = [_past(graph, blueprint, at, name) for name in ("key", "value")] if inputs.past else []
    if graph.opset >= 23:
        mixed, *present = graph.ops(
            "Attention",
            1 + len(pasts),
            query,
            key,
            value,
            mask,
            *pasts,
            scale=scale,
        )
    else:
        if pasts:
            key = graph.op("Concat", pasts[0], key, axis=2)
            value = graph.op("Concat", pasts[1], value, axis=2)
        present = [key, value] if pasts else []
        mixed = _mix(graph, blueprint, query, key, value, mask, scale)
    joined = graph.op("Transpose", mixed, perm=[0, 2, 1, 3])
    width = blueprint.heads * blueprint.head_width
    return layer.map(Role.ATTN_OUT, graph.op("Reshape", joined, graph.ints(-1, width))), present


def _heads(layer: Layer, inputs: Inputs, rows: str) -> tuple[str, str, str]:
    """Queries B × H × S × width, keys and values B × K × S × width."""
    graph, blueprint = layer.graph, layer.blueprint
    width, counts = blueprint.head_width, (blueprint.heads, blueprint.kv_heads, blueprint.kv_heads)
    roles = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V)
    spec = layer.spec(Role.ATTN_Q)

    def split(values: str, count: int, size: int) -> str:
        shape = graph.op("Concat", inputs.shape, graph.ints(count, size), axis=0)
        return graph.op("Reshape", values, shape)

    if spec.per_head:
        fused = split(layer.map(Role.ATTN_Q, rows), blueprint.heads, 3 * width)
        parts = graph.ops("Split", 3, fused, graph.ints(width, width, width), axis=-1)
    elif len(spec.roles) > 1:
        sizes = graph.ints(*(count * width for count in counts))
        flat = graph.ops("Split", 3, layer.map(Role.ATTN_Q, rows), sizes, axis=-1)
        parts = [split(part, count, width) for part, count in zip(flat, counts, strict=True)]
    else:
        parts = [
            split(layer.map(role, rows), count, width)
            for role, count in zip(roles, counts, strict=True)
        ]
    for at, role in enumerate((Role.Q_NORM, Role.K_NORM)):
        if layer.find(role):
            parts[at] = layer.norm(role, parts[at])
    query, key, value = (graph.op("Transpose", part, perm=[0, 2, 1, 3]) for part in parts)
    return query, key, value


def _past(graph: Graph, blueprint: Blueprint, at: int, name: str) -> str:
    axes: list[str | int] = ["batch_size", blueprint.kv_heads, PAST, blueprint.head_width]
    return graph.input(f"past_key_values.{at}.{name}", axes, graph.computed)


def _mix(
    graph: Graph, blueprint: Blueprint, query: str, key: str, value: str, mask: str, scale: float
) -> str:
    """Values weighed by the softmax of scores, B × H × S × width, in plain operators.

    Queries that share keys get an axis of their own, so that keys need not be repeated.
    """
    heads, width = blueprint.heads, blueprint.head_width
    groups = heads // blueprint.kv_heads
    if groups > 1:
        query = graph.op("Reshape", query, graph.ints(0, blueprint.kv_heads, groups, -1, width))
        key, value, mask = (graph.op("Unsqueeze", x, graph.ints(2)) for x in (key, value, mask))
    turned = graph.op("Transpose", key, perm=[0, 1, 2, 4, 3] if groups > 1 else [0, 1, 3, 2])
    scores = graph.op("MatMul", graph.op("Mul", query, graph.number(scale)), turned)
    shares = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
    mixed = graph.op("MatMul", shares, value)
    if groups > 1:
        mixed = graph.op("Reshape", mixed, graph.ints(0, heads, -1, width))
    return mixed
