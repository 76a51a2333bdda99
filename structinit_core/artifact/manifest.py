"""The manifest of an artifact: what it is, what it was made from, what its files hash to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from structinit_core.artifact.digest import canonical_json, file_digest, text_digest
from structinit_core.errors import IncompatibleError

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 24
UNHASHED = frozenset({MANIFEST, "run.json"})
"""Files of an artifact that may differ between two equal runs."""


class Input(BaseModel):
    """One input of a run: its name as the user gave it (no directory) and content hash."""

    model_config = ConfigDict(frozen=True)
    name: str
    sha256: str


def file_input(path: Path) -> Input:
    """The input a file is: its name, undecodable bytes escaped, and its hash."""
    name = os.fsencode(path.name).decode("utf-8", errors="backslashreplace")
    return Input(name=name, sha256=file_digest(path))


class FileEntry(BaseModel):
    """One file of an artifact; dtype and shape only where the file is an ``.npy`` array."""

    model_config = ConfigDict(frozen=True)
    bytes: int
    sha256: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None


class Recipe(BaseModel):
    """Everything that decides an artifact's bytes: kind, version, parameters, inputs.

    ``version`` is raised whenever the same inputs would give other bytes.
    """

    model_config = ConfigDict(frozen=True)
    kind: str
    version: int
    params: dict[str, Any]
    inputs: tuple[Input, ...]

    @property
    def key(self) -> str:
        """sha256 over the whole recipe: equal keys promise equal bytes.

        Raises:
            ValueError: a parameter is NaN or infinite.
        """
        return text_digest(canonical_json(self.model_dump()))


class Manifest(BaseModel):
    """``manifest.json``: the recipe, its key and every hashed file."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_id: Literal["structinit/artifact/1"] = Field("structinit/artifact/1", alias="schema")
    recipe: Recipe
    key: str
    files: dict[str, FileEntry]

    @property
    def content(self) -> str:
        """sha256 over every file's name, size and hash."""
        files = {name: [entry.bytes, entry.sha256] for name, entry in self.files.items()}
        return text_digest(canonical_json(files))


def describe_files(directory: Path, hashes: Mapping[Path, str]) -> dict[str, FileEntry]:
    """Every hashed file below ``directory`` by its relative POSIX name, sorted.

    Files whose sha256 is in ``hashes`` are not read again.
    """
    entries: dict[str, FileEntry] = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = path.relative_to(directory).as_posix()
        if name in UNHASHED:
            continue
        dtype: str | None = None
        shape: tuple[int, ...] | None = None
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            dtype, shape = array.dtype.str, array.shape
        entries[name] = FileEntry(
            bytes=path.stat().st_size,
            sha256=hashes.get(path) or file_digest(path),
            dtype=dtype,
            shape=shape,
        )
    return entries


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of ``directory``, or ``None`` where there is none.

    Raises:
        IncompatibleError: the file is there but is not a manifest this version reads.
    """
    path = directory / MANIFEST
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise IncompatibleError("is larger than 16 MiB", where=str(path))
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise IncompatibleError("not a manifest of this program", where=str(path)) from error


def open_artifact(directory: Path, kind: str, version: int) -> Manifest:
    """The checked manifest of an artifact of this ``kind`` and ``version``.

    Every file's presence and size is checked (not its hash), so a truncated array is found
    before it is memory-mapped.

    Raises:
        IncompatibleError: no manifest, another kind or version, a missing or resized file.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        raise IncompatibleError("has no manifest.json", where=str(directory))
    if manifest.recipe.kind != kind:
        raise IncompatibleError(
            f"is a {manifest.recipe.kind!r} artifact, needed is {kind!r}", where=str(directory)
        )
    if manifest.recipe.version != version:
        raise IncompatibleError(
            f"has format {manifest.recipe.version}, this program reads {version}",
            where=str(directory),
            hint="make it again with this version",
        )
    root = directory.resolve()
    for name, entry in manifest.files.items():
        try:
            path = (root / name).resolve()
            inside, size = path.is_relative_to(root), path.stat().st_size
        except (OSError, ValueError, RuntimeError) as error:
            raise IncompatibleError(f"lacks its file {name!r}", where=str(directory)) from error
        if not inside or not path.is_file():
            raise IncompatibleError(f"names {name!r}, no file of its own", where=str(directory))
        if size != entry.bytes:
            raise IncompatibleError(
                f"is {size} bytes long, not {entry.bytes}", where=str(directory / name)
            )
    return manifest
