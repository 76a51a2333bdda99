"""Text arguments: files and patterns of files; stdin and other pipes kept in a file meanwhile."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from structinit_core.errors import InputError, UsageError

STDIN = Path("-")
_PATTERN_MARKS = frozenset("*?[")


def refuse_twice(names: Sequence[Path]) -> None:
    """Refuse to read stdin for two things.

    Raises:
        UsageError: stdin is named twice.
    """
    if list(names).count(STDIN) > 1:
        raise UsageError("stdin can be read once only")


@contextmanager
def text_paths(names: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths of ``names``, patterns replaced by the files they match, sorted by name.

    What cannot be read twice is spooled to a temporary file: text is hashed, read to train a
    tokenizer, and read again to count.

    Raises:
        UsageError: stdin named twice. InputError: a directory, or a pattern without a match.
    """
    refuse_twice(names)
    with tempfile.TemporaryDirectory(prefix="initctl-") as directory:
        spools = Path(directory)
        paths: list[Path] = []
        for name in names:
            if name == STDIN:
                paths.append(_spooled(sys.stdin.buffer, spools / "stdin" / "stdin"))
                continue
            for path in _matches(name):
                paths.append(_readable(path, spools / str(len(paths))))
        yield paths


def _matches(name: Path) -> list[Path]:
    """``name`` itself, or what it matches where it is a pattern and no existing file."""
    if name.exists() or _PATTERN_MARKS.isdisjoint(str(name)):
        return [name]
    found = sorted(Path(match) for match in glob.glob(str(name), recursive=True))  # noqa: PTH207
    files = [path for path in found if not path.is_dir()]
    if not files:
        raise InputError("matches no file", where=str(name))
    return files


def _readable(name: Path, spool: Path) -> Path:
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
