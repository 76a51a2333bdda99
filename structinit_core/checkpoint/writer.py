"""Streaming safetensors: the header is planned from the blueprint, tensors follow one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from structinit_core.blueprint import TensorSpec
from structinit_core.progress import Progress

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_safetensors(
    path: Path,
    specs: Iterable[TensorSpec],
    stream: Iterable[tuple[TensorSpec, Tensor]],
    progress: Progress,
    dtype: torch.dtype = torch.float32,
) -> int:
    """Bytes written: one safetensors file with the tensors of ``specs`` in their order.

    Tied tensors are left out. The header's metadata is exactly ``{"format": "pt"}``, so equal
    tensors give equal bytes. Memory: one tensor; the stream may be larger than memory.

    Raises:
        ValueError: the stream does not follow ``specs``.
    """
    planned = [spec for spec in specs if not spec.tied_to]
    header = safetensors_header(planned, dtype)
    with path.open("wb") as out:
        out.write(header)
        written = iter(planned)
        for spec, tensor in stream:
            if next(written, None) != spec or tuple(tensor.shape) != spec.shape:
                raise ValueError(f"{spec.name}: not the tensor planned here")
            data = tensor.detach().to("cpu", dtype).contiguous()
            out.write(data.view(torch.uint8).numpy().data)
            progress.advance()
        missing = next(written, None)
        if missing is not None:
            raise ValueError(f"{missing.name}: was planned and did not come")
        return out.tell()


def safetensors_header(specs: Iterable[TensorSpec], dtype: torch.dtype) -> bytes:
    """Length prefix and JSON header, padded to 8 bytes, of tensors laid out in this order."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for spec in specs:
        stop = start + spec.parameters * dtype.itemsize
        entries[spec.name] = {
            "dtype": _NAMES[dtype],
            "shape": list(spec.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
