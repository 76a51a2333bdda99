"""The feed-forward block of one layer and its activations."""

from __future__ import annotations

import math

from structinit_core.blueprint import Role
from structinit_core.export.graph import Graph
from structinit_core.export.layers import Layer

_TANH = ("gelu_new", "gelu_pytorch_tanh")


def feed_forward(layer: Layer, rows: str) -> str:
    """``rows`` (N × d) through the block: N × d."""
    activation = layer.blueprint.activation
    up = layer.map(Role.MLP_UP, rows)
    if layer.blueprint.gated:
        gate = activate(layer.graph, activation, layer.map(Role.MLP_GATE, rows))
        up = layer.graph.op("Mul", gate, up)
    else:
        up = activate(layer.graph, activation, up)
    return layer.map(Role.MLP_DOWN, up)


def activate(graph: Graph, activation: str, x: str) -> str:
    """One of the blueprint's activations of ``x``, by the operators of the graph's opset."""
    if activation == "relu":
        return graph.op("Relu", x)
    if activation in ("silu", "swish"):
        return graph.op("Mul", x, graph.op("Sigmoid", x))
    if activation == "quick_gelu":
        steep = graph.op("Mul", x, graph.number(1.702))
        return graph.op("Mul", x, graph.op("Sigmoid", steep))
    if graph.opset >= 20:
        return graph.op("Gelu", x, approximate="tanh" if activation in _TANH else "none")
    if activation in _TANH:
        cube = graph.op("Mul", x, graph.op("Mul", x, x))
        inner = graph.op("Add", x, graph.op("Mul", cube, graph.number(0.044715)))
        curve = graph.op("Tanh", graph.op("Mul", inner, graph.number(math.sqrt(2 / math.pi))))
    else:
        curve = graph.op("Erf", graph.op("Mul", x, graph.number(math.sqrt(0.5))))
    share = graph.op("Mul", graph.op("Add", curve, graph.number(1.0)), graph.number(0.5))
    return graph.op("Mul", x, share)
