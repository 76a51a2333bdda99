"""A whole decoder as one graph: embedding, layers, head."""

from __future__ import annotations

from structinit_core.blueprint import Blueprint, Role
from structinit_core.export.attention import attend
from structinit_core.export.feed_forward import feed_forward
from structinit_core.export.graph import Graph
from structinit_core.export.inputs import ALL, NEW, make_inputs
from structinit_core.export.layers import Layer
from structinit_core.export.opsets import refuse_opset
from structinit_core.model import Wiring


def build_decoder(
    blueprint: Blueprint, wiring: Wiring, dtype: str, *, past: bool, opset: int
) -> Graph:
    """The graph of a decoder with weights in ``dtype``, under the names that optimum gives.

    Inputs ``input_ids``, ``attention_mask``, ``position_ids`` and with ``past`` the
    ``past_key_values.N.key|value``, whose length may be 0; outputs ``logits`` (B × S × V) and
    with ``past`` the ``present.N.key|value``. Left padding is what the mask says; positions are
    the caller's. Only standard operators of ``opset``. Weights in bfloat16 are cast to float32
    before use. No weights are read.

    Raises:
        UsageError: an operator set that is not supported.
    """
    refuse_opset(opset)
    graph = Graph(opset, dtype)
    inputs = make_inputs(graph, wiring, past)
    ends = Layer(graph, blueprint, None)
    with graph.scope("embedding"):
        rows = _look_up(ends, Role.EMBED, inputs.ids)
        if blueprint.learned_positions:
            rows = graph.op("Add", rows, _look_up(ends, Role.POSITION, inputs.positions))
    presents: list[list[str]] = []
    for at in range(blueprint.layers):
        layer = Layer(graph, blueprint, at)
        with graph.scope(f"layers.{at}"):
            with graph.scope("attention"):
                read = layer.norm(Role.ATTN_NORM, rows)
                mixed, present = attend(layer, at, wiring, inputs, read)
                presents.append(present)
                beside = graph.op("Add", rows, mixed)
            with graph.scope("feed_forward"):
                read = rows if wiring.parallel else beside
                made = feed_forward(layer, layer.norm(Role.MLP_NORM, read))
                rows = graph.op("Add", beside, made)
    with graph.scope("head"):
        logits = ends.map(Role.HEAD, ends.norm(Role.FINAL_NORM, rows))
        shape = graph.op("Concat", inputs.shape, graph.ints(blueprint.vocabulary), axis=0)
        logits = graph.op("Reshape", logits, shape)
    graph.output(logits, "logits", ["batch_size", NEW, blueprint.vocabulary])
    for at, present in enumerate(presents):
        for name, values in zip(("key", "value"), present, strict=False):
            axes: list[str | int] = ["batch_size", blueprint.kv_heads, ALL, blueprint.head_width]
            graph.output(values, f"present.{at}.{name}", axes)
    return graph


def _look_up(ends: Layer, role: Role, rows: str) -> str:
    """Rows of a table, cast after they are picked."""
    graph = ends.graph
    picked = graph.op("Gather", graph.stored_weight(ends.spec(role)), rows)
    return picked if graph.stored == graph.computed else graph.cast(picked, graph.computed)
