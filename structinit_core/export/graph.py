"""An ONNX graph under construction: named nodes, small constants, references to weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from structinit_core.blueprint import TensorSpec

ELEMENT = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
COMPUTED = {"float32": "float32", "float16": "float16", "bfloat16": "float32"}
"""The dtype to compute in for each that is stored: onnxruntime's CPU has no bfloat16 kernels."""


class Graph:
    """Nodes in the order they are made, each output named after its scope and operator.

    ``stored`` is the dtype of the weights, ``computed`` that of everything made from them.
    Equal calls make equal graphs. Weights are referred to by their names in the checkpoint
    and listed in ``weights``; their values are not here.
    """

    def __init__(self, opset: int, stored: str) -> None:
        self.opset, self.stored, self.computed = opset, stored, COMPUTED[stored]
        self.weights: set[str] = set()
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._scope: list[str] = []
        self._taken: Counter[str] = Counter()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """What is made inside is named below ``name``."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """The outputs of a new node; an empty input name leaves an optional input out."""
        name = "/".join([*self._scope, kind])
        self._taken[name] += 1
        if self._taken[name] > 1:
            name += f"_{self._taken[name]}"
        made = [name] if outputs == 1 else [f"{name}.{at}" for at in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, made, name, **attributes))
        return made

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The only output of a new node."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def cast(self, value: str, dtype: str) -> str:
        """``value`` in one of the dtypes of :data:`ELEMENT`."""
        return self.op("Cast", value, to=ELEMENT[dtype])

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant(f"ints({','.join(map(str, values))})", np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """A scalar of int64."""
        return self.constant(f"scalar({value})", np.array(value, np.int64))

    def number(self, value: float, dtype: str | None = None) -> str:
        """A scalar of ``dtype``, by default the one computed in."""
        dtype = dtype or self.computed
        return self.constant(f"{dtype}({value!r})", np.array(value, dtype))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A small array; one name always means the same values."""
        self._constants[name] = values
        return name

    def stored_weight(self, spec: TensorSpec) -> str:
        """A weight as it is stored."""
        name = spec.tied_to or spec.name
        self.weights.add(name)
        return name

    def weight(self, spec: TensorSpec) -> str:
        """A weight in the dtype computed in."""
        name = self.stored_weight(spec)
        return name if self.stored == self.computed else self.cast(name, self.computed)

    def input(self, name: str, axes: list[str | int], dtype: str | None = None) -> str:
        """A new input of the graph; int64 unless a ``dtype`` is given."""
        element = ELEMENT[dtype] if dtype else TensorProto.INT64
        self._inputs.append(helper.make_tensor_value_info(name, element, axes))
        return name

    def output(self, value: str, name: str, axes: list[str | int]) -> None:
        """Give ``value`` out under ``name``, in the dtype computed in."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(helper.make_tensor_value_info(name, ELEMENT[self.computed], axes))

    def model(self) -> Any:
        """The ``ModelProto``, complete but for the weights among its initialisers."""
        constants = [
            numpy_helper.from_array(values, name) for name, values in self._constants.items()
        ]
        graph = helper.make_graph(self._nodes, "decoder", self._inputs, self._outputs, constants)
        opset = onnx.OperatorSetIdProto(domain="", version=self.opset)
        return helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=helper.find_min_ir_version_for([opset]),
            producer_name="structinit",
        )
