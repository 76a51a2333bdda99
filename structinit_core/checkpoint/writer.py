"""Streaming safetensors: headers are planned from the blueprint, tensors follow one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from structinit_core.artifact import DirectWriter, pretty_json
from structinit_core.blueprint import TensorSpec
from structinit_core.checkpoint.reader import INDEX, SINGLE
from structinit_core.progress import Progress

DEFAULT_SHARD_BYTES = 5 << 30
Finished = Callable[[str, str | None], None]
"""Told the name of a shard and its sha256, if it was hashed."""
_PIECE = 1 << 20
"""Numbers that are cast at a time, so that no second copy of a tensor is needed."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""What a checkpoint may hold, by the names a config uses."""
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_checkpoint(
    directory: Path,
    specs: Iterable[TensorSpec],
    stream: Iterable[tuple[TensorSpec, Tensor]],
    progress: Progress,
    *,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    hashes: dict[Path, str] | None = None,
    skip: int = 0,
    finished: Finished | None = None,
) -> list[Path]:
    """The files written: ``model.safetensors``, or shards of ``shard_bytes`` and their index.

    Tensors keep the order of ``specs``; a tensor larger than a shard gets one of its own.
    Tied tensors are left out. The headers' metadata is exactly ``{"format": "pt"}``, so equal
    tensors give equal bytes. The sha256 of the tensor files are entered in ``hashes`` if given;
    one core hashes less than 2 GB/s, which a fast disk exceeds. The files are not synced.
    The first ``skip`` shards stand there already and the stream begins after them; ``finished``
    is told of every other one when its file is closed.
    Memory: one tensor, a copy of it if it is not contiguous, and 16 MiB; the stream may
    be larger than memory.

    Raises:
        ValueError: the stream does not follow ``specs``.
    """
    planned = [spec for spec in specs if not spec.tied_to]
    shards = plan_shards(planned, dtype, shard_bytes)
    names = [SINGLE]
    if len(shards) > 1:
        names = [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    tensors = iter(stream)
    for name, shard in list(zip(names, shards, strict=True))[skip:]:
        path = directory / name
        with DirectWriter(path, hashed=hashes is not None) as out:
            _write_shard(out, shard, tensors, dtype, progress)
        if hashes is not None and out.sha256:
            hashes[path] = out.sha256
        if finished is not None:
            finished(name, out.sha256)
    extra = next(tensors, None)
    if extra is not None:
        raise ValueError(f"{extra[0].name}: was not planned")
    if len(shards) > 1:
        weight_map = {
            spec.name: name for name, shard in zip(names, shards, strict=True) for spec in shard
        }
        size = sum(spec.parameters for spec in planned) * dtype.itemsize
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (directory / INDEX).write_text(pretty_json(index), encoding="utf-8")
        names.append(INDEX)
    return [directory / name for name in names]


def plan_shards(
    specs: list[TensorSpec], dtype: torch.dtype, shard_bytes: int
) -> list[list[TensorSpec]]:
    """Runs of tensors that fit a shard together, in order; at least one shard."""
    shards: list[list[TensorSpec]] = [[]]
    filled = 0
    for spec in specs:
        size = spec.parameters * dtype.itemsize
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(spec)
        filled += size
    return shards


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


def write_tensor(out: DirectWriter, tensor: Tensor, dtype: torch.dtype) -> None:
    """Append a tensor's values in ``dtype``, row by row, little-endian; 16 MiB of memory."""
    numbers = tensor.detach().contiguous().view(-1)
    for start in range(0, len(numbers), _PIECE):
        piece = numbers[start : start + _PIECE].to("cpu", dtype)
        out.write(piece.view(torch.uint8).numpy().data)


def _write_shard(
    out: DirectWriter,
    specs: list[TensorSpec],
    tensors: Iterator[tuple[TensorSpec, Tensor]],
    dtype: torch.dtype,
    progress: Progress,
) -> None:
    out.write(safetensors_header(specs, dtype))
    for spec in specs:
        came, tensor = next(tensors, (None, None))
        if came is None or tensor is None:
            raise ValueError(f"{spec.name}: was planned and did not come")
        if came != spec or tuple(tensor.shape) != spec.shape:
            raise ValueError(f"{came.name}: not the tensor planned here ({spec.name})")
        write_tensor(out, tensor, dtype)
        progress.advance()
