"""Lazy reading of safetensors checkpoints: one file, or shards named by an index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from structinit_core.errors import IncompatibleError, InputError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_MAX_INDEX_BYTES = 1 << 28
_REOPEN_BYTES = 1 << 30


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """``(name, tensor)`` of a checkpoint in name order; one tensor in memory at a time.

    ``path`` and errors as in :func:`open_tensors`.
    """
    with open_tensors(path) as stored:
        for name in stored.names:
            yield name, stored.read(name)


@contextmanager
def open_tensors(path: Path) -> Iterator[StoredTensors]:
    """An open checkpoint, to be read in any order; its files are closed at the end.

    ``path`` is a ``.safetensors`` file, or a directory with ``model.safetensors`` or an
    index of shards. The safetensors library checks headers, offsets and sizes.

    Raises:
        InputError: no such file, or not safetensors.
        IncompatibleError: an index that names files outside its directory, or tensors its
            shards do not hold.
    """
    stored = StoredTensors(path)
    try:
        yield stored
    finally:
        stored.close()


class StoredTensors:
    """The tensors of an open checkpoint: shapes and dtypes from the headers, values on demand.

    Files are mapped into memory, and what was read of them counts there while they are open; so
    they are opened anew for every GiB that is read, and then only tensors in use count.
    """

    def __init__(self, path: Path) -> None:
        self._handles: dict[Path, Any] = {file: _open(file) for file in shard_files(path)}
        self._where = _homes(path, self._handles)
        self._read = 0
        self.names = sorted(self._where)

    def header(self, name: str) -> tuple[str, tuple[int, ...]]:
        """Dtype as safetensors writes it (``BF16``) and shape; no value is read."""
        part = self._handles[self._where[name]].get_slice(name)
        return str(part.get_dtype()), tuple(part.get_shape())

    def read(self, name: str) -> Tensor:
        """One tensor.

        Raises:
            InputError: it cannot be read.
        """
        file = self._where[name]
        if self._read >= _REOPEN_BYTES:
            self._handles = {file: _open(file) for file in self._handles}
            self._read = 0
        try:
            tensor: Tensor = self._handles[file].get_tensor(name)
        except Exception as error:  # torch and safetensors fault in many ways
            raise InputError(f"{name} cannot be read ({error})", where=str(file)) from error
        self._read += tensor.nbytes
        return tensor

    def close(self) -> None:
        """Close the files; tensors that were read stay valid."""
        self._handles.clear()


def shard_files(path: Path) -> list[Path]:
    """The safetensors files a checkpoint consists of, in name order.

    A shard may be a link, as in a download cache; its name may not leave the directory.
    """
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
    names = sorted(set(_weight_map(path).values()))
    for name in names:
        if Path(name).name != name or not name.isprintable():
            raise IncompatibleError(f"names {name!r}, which is not a file here", where=INDEX)
        if not os.path.isfile(path / name):  # noqa: PTH113 - Path.is_file raises on long names
            raise InputError("a shard of the index is missing", where=str(path / name[:80]))
    return [path / name for name in names]


def _homes(path: Path, handles: dict[Path, safe_open]) -> dict[str, Path]:
    """The file of every tensor: as the index says, else as the only file holds them."""
    held = {file: set(handle.keys()) for file, handle in handles.items()}  # type: ignore[no-untyped-call]
    if path.is_file() or (path / SINGLE).is_file():
        return {name: file for file, names in held.items() for name in names}
    where = {name: path / shard for name, shard in _weight_map(path).items()}
    for name, file in where.items():
        if name not in held[file]:
            raise IncompatibleError(f"is in the index but not in {file.name}", where=name)
    return where


def _open(file: Path) -> safe_open:
    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise InputError(f"is not valid safetensors ({error})", where=str(file)) from error


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
