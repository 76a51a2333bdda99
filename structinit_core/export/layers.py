"""The matrices of one layer by role, as ONNX reads them."""

from __future__ import annotations

from structinit_core.blueprint import Blueprint, Kind, Norm, Orientation, Role, TensorSpec
from structinit_core.export.graph import Graph


class Layer:
    """The tensors of one layer, or with ``None`` those outside of all layers."""

    def __init__(self, graph: Graph, blueprint: Blueprint, layer: int | None) -> None:
        self.graph, self.blueprint, self.layer = graph, blueprint, layer
        self._specs = {
            (role, spec.kind): spec
            for spec in blueprint.tensors
            if spec.layer == layer
            for role in spec.roles
        }

    def find(self, role: Role, kind: Kind = Kind.WEIGHT) -> TensorSpec | None:
        """The tensor that holds ``role``."""
        return self._specs.get((role, kind))

    def spec(self, role: Role) -> TensorSpec:
        """The weight that holds ``role``, which every family has."""
        return self._specs[role, Kind.WEIGHT]

    def map(self, role: Role, rows: str) -> str:
        """``rows`` (N × input) through the linear map that holds ``role``, with its bias.

        The weight stays as the checkpoint stores it: Gemm reads either orientation, so a head
        can share the embedding's.
        """
        spec, bias = self.spec(role), self.find(role, Kind.BIAS)
        more = [self.graph.weight(bias)] if bias else []
        flipped = int(spec.orientation is Orientation.OUT_IN)
        return self.graph.op("Gemm", rows, self.graph.weight(spec), *more, transB=flipped)

    def norm(self, role: Role, values: str) -> str:
        """``values`` normalised along the last axis, with gain and bias of ``role``."""
        graph, epsilon = self.graph, self.blueprint.norm_epsilon
        gain = graph.weight(self.spec(role))
        if self.blueprint.norm is Norm.LAYER:
            bias = self.find(role, Kind.BIAS)
            more = [graph.weight(bias)] if bias else []
            return graph.op("LayerNormalization", values, gain, *more, axis=-1, epsilon=epsilon)
        if graph.opset >= 23:
            return graph.op("RMSNormalization", values, gain, axis=-1, epsilon=epsilon)
        wide = values if graph.computed == "float32" else graph.cast(values, "float32")
        total = graph.op("ReduceSum", graph.op("Mul", wide, wide), graph.ints(-1), keepdims=1)
        width = self.spec(role).shape[0]
        power = graph.op("Div", total, graph.number(width, "float32"))
        root = graph.op("Sqrt", graph.op("Add", power, graph.number(epsilon, "float32")))
        scaled = graph.op("Div", wide, root)
        if graph.computed != "float32":
            scaled = graph.cast(scaled, graph.computed)
        return graph.op("Mul", scaled, gain)
