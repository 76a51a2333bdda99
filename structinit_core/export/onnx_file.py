"""An ONNX file written from front to back: the graph, and the weights one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor

from structinit_core.artifact import DirectWriter
from structinit_core.blueprint import TensorSpec
from structinit_core.checkpoint import DTYPES, write_tensor
from structinit_core.errors import InputError
from structinit_core.export.graph import ELEMENT, Graph
from structinit_core.progress import Progress

MODEL, DATA = "model.onnx", "model.onnx_data"
INLINE_BYTES = 1_500_000_000
"""Weights up to this lie in the model file; protobuf ends at 2 GiB."""
_ALIGN = 4096
"""Weights outside begin at pages, so that a runtime can map them."""
_GRAPH, _INITIALISER, _RAW = (field << 3 | 2 for field in (7, 5, 9))
"""Tags of ModelProto.graph, GraphProto.initializer and TensorProto.raw_data (onnx.proto)."""


def write_onnx(
    graph: Graph,
    specs: tuple[TensorSpec, ...],
    stream: Iterator[tuple[TensorSpec, Tensor]],
    directory: Path,
    progress: Progress,
    *,
    inline_bytes: int = INLINE_BYTES,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write ``model.onnx``, with ``model.onnx_data`` beside it above ``inline_bytes`` of weights.

    ``stream`` gives the values of ``specs``, which are the graph's weights, in their order.
    Equal graphs and weights give equal bytes. The sha256 of the files are entered in
    ``hashes`` if given. onnx's checker has then passed the file. Memory: one tensor and
    16 MiB; the checker reads the model file whole, but not the data beside it.

    Raises:
        ValueError: specs or stream are not the graph's.
    """
    if {spec.name for spec in specs} != graph.weights:
        raise ValueError("the graph uses other weights")
    size = sum(spec.parameters for spec in specs) * DTYPES[graph.stored].itemsize
    write = _write_inline if size <= inline_bytes else _write_beside
    write(graph, specs, _in_order(specs, stream, progress), directory, hashes)
    check_onnx(directory / MODEL)


def check_onnx(path: Path) -> None:
    """Let onnx's checker read the model at ``path``, without the data beside it.

    Raises:
        InputError: it is no model, is not valid, or names data outside its own directory.
    """
    try:
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"is refused by onnx's checker: {reason}", where=str(path)) from error


def _write_inline(
    graph: Graph,
    specs: tuple[TensorSpec, ...],
    tensors: Iterator[Tensor],
    directory: Path,
    hashes: dict[Path, str] | None,
) -> None:
    """One file: protobuf fields may come in any order, so the weights come last."""
    heads = [_weight(graph, spec).SerializeToString(deterministic=True) for spec in specs]
    sizes = [spec.parameters * DTYPES[graph.stored].itemsize for spec in specs]
    heads = [head + bytes([_RAW]) + _varint(size) for head, size in zip(heads, sizes, strict=True)]
    fields = [
        bytes([_INITIALISER]) + _varint(len(head) + size) + head
        for head, size in zip(heads, sizes, strict=True)
    ]
    model = graph.model()
    body = model.graph.SerializeToString(deterministic=True)
    model.ClearField("graph")
    length = len(body) + sum(map(len, fields)) + sum(sizes)
    with DirectWriter(directory / MODEL, hashed=hashes is not None) as out:
        out.write(model.SerializeToString(deterministic=True))
        out.write(bytes([_GRAPH]) + _varint(length) + body)
        for field, tensor in zip(fields, tensors, strict=True):
            out.write(field)
            write_tensor(out, tensor, DTYPES[graph.stored])
    _enter(hashes, directory / MODEL, out)


def _write_beside(
    graph: Graph,
    specs: tuple[TensorSpec, ...],
    tensors: Iterator[Tensor],
    directory: Path,
    hashes: dict[Path, str] | None,
) -> None:
    """Two files: the model refers to the weights by offset in the other."""
    model, start = graph.model(), 0
    with DirectWriter(directory / DATA, hashed=hashes is not None) as out:
        for spec, tensor in zip(specs, tensors, strict=True):
            size = spec.parameters * DTYPES[graph.stored].itemsize
            weight = _weight(graph, spec)
            weight.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", DATA), ("offset", start), ("length", size)):
                weight.external_data.add(key=key, value=str(value))
            model.graph.initializer.append(weight)
            write_tensor(out, tensor, DTYPES[graph.stored])
            out.write(bytes(-size % _ALIGN))
            start += size + -size % _ALIGN
    _enter(hashes, directory / DATA, out)
    content = model.SerializeToString(deterministic=True)
    with DirectWriter(directory / MODEL, hashed=hashes is not None) as out:
        out.write(content)
    _enter(hashes, directory / MODEL, out)


def _weight(graph: Graph, spec: TensorSpec) -> Any:
    return onnx.TensorProto(name=spec.name, data_type=ELEMENT[graph.stored], dims=spec.shape)


def _in_order(
    specs: tuple[TensorSpec, ...], stream: Iterator[tuple[TensorSpec, Tensor]], progress: Progress
) -> Iterator[Tensor]:
    for spec, (came, tensor) in zip(specs, stream, strict=True):
        if came != spec:
            raise ValueError(f"{came.name}: not the tensor planned here ({spec.name})")
        yield tensor
        progress.advance()


def _enter(hashes: dict[Path, str] | None, path: Path, out: DirectWriter) -> None:
    if hashes is not None and out.sha256:
        hashes[path] = out.sha256


def _varint(number: int) -> bytes:
    """An unsigned number as protobuf writes it: seven bits a byte, the least first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
