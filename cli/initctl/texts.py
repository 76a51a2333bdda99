"""Text arguments: files as they are; stdin and other pipes kept in a file meanwhile."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from structinit_core.errors import InputError, UsageError

STDIN = Path("-")


@contextmanager
def text_paths(names: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths of ``names``; what cannot be read twice is spooled to a temporary file.

    Text is hashed, read to train a tokenizer, and read again to count.
    """
    if list(names).count(STDIN) > 1:
        raise UsageError("stdin can be read once only")
    with tempfile.TemporaryDirectory(prefix="initctl-") as directory:
        yield [_readable(name, Path(directory) / str(i)) for i, name in enumerate(names)]


def _readable(name: Path, spool: Path) -> Path:
    if name == STDIN:
        return _spooled(sys.stdin.buffer, spool / "stdin")
    if not name.exists() or name.is_file():
        return name
    if name.is_dir():
        raise InputError("is a directory", where=str(name), hint="name its files")
    with name.open("rb") as pipe:
        return _spooled(pipe, spool / name.name)


def _spooled(stream: IO[bytes], path: Path) -> Path:
    path.parent.mkdir()
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    return path
