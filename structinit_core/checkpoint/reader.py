"""Lazy reading of safetensors checkpoints: one file, or shards named by an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from structinit_core.errors import IncompatibleError, InputError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_MAX_INDEX_BYTES = 1 << 28


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """``(name, tensor)`` of a checkpoint in name order; one tensor in memory at a time.

    ``path`` is a ``.safetensors`` file, or a directory with ``model.safetensors`` or an
    index of shards. The safetensors library checks headers, offsets and sizes.

    Raises:
        InputError: no such file, or not safetensors.
        IncompatibleError: an index that names files outside its directory, or tensors its
            shards do not hold.
    """
    with ExitStack() as stack:
        where = {
            name: (file, handle)
            for file in shard_files(path)
            for handle in [stack.enter_context(_open(file))]
            for name in handle.keys()  # noqa: SIM118 - not a mapping
        }
        missing = sorted(_indexed_names(path) - where.keys())
        if missing:
            raise IncompatibleError("is in the index but in no shard", where=missing[0])
        for name in sorted(where):
            file, handle = where[name]
            try:
                yield name, handle.get_tensor(name)
            except (SafetensorError, OSError, RuntimeError) as error:
                raise InputError(f"{name} cannot be read ({error})", where=str(file)) from error


def shard_files(path: Path) -> list[Path]:
    """The safetensors files a checkpoint consists of, in name order."""
    if path.is_file():
        if path.suffix != ".safetensors":
            raise InputError(
                "is not a .safetensors file",
                where=str(path),
                hint="pickled checkpoints are never loaded; convert them elsewhere first",
            )
        return [path]
    if (path / SINGLE).is_file():
        return [path / SINGLE]
    if not (path / INDEX).is_file():
        raise InputError(f"holds neither {SINGLE} nor {INDEX}", where=str(path))
    files = []
    for name in sorted(set(_weight_map(path).values())):
        file = path / name
        if Path(name).name != name or (file.is_symlink() and not _inside(file, path)):
            raise IncompatibleError(f"names {name!r}, which is not a file here", where=INDEX)
        if not file.is_file():
            raise InputError("a shard of the index is missing", where=str(file))
        files.append(file)
    return files


def _open(file: Path) -> safe_open:
    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise InputError(f"is not valid safetensors ({error})", where=str(file)) from error


def _indexed_names(path: Path) -> set[str]:
    if path.is_file() or (path / SINGLE).is_file():
        return set()
    return set(_weight_map(path))


def _weight_map(path: Path) -> dict[str, str]:
    index = path / INDEX
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise InputError("is larger than 256 MiB", where=str(index))
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("is not an index of shards", where=str(index)) from error
    if not isinstance(weight_map, dict) or not all(
        isinstance(value, str) for value in weight_map.values()
    ):
        raise InputError("is not an index of shards", where=str(index))
    return weight_map


def _inside(file: Path, directory: Path) -> bool:
    return file.resolve().is_relative_to(directory.resolve())
