"""Corpus files and stdin to documents of text; every fault names its file and line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO

from structinit_core.errors import InputError, LimitError

MAX_LINE_BYTES = 1 << 28
"""A longer line is refused: it would have to be held in memory whole."""
_GZIP_MAGIC = b"\x1f\x8b"


class Border(StrEnum):
    """Where a document of plain text begins; JSONL always has one document a record."""

    BLANK = "blank"
    """After one or more blank lines (white space only), which belong to no document."""
    TITLE = "title"
    """At a line ``= Title =`` as WikiText marks articles."""
    LINE = "line"
    """At every line that is not blank; blank lines belong to no document."""
    FILE = "file"
    """At the beginning of a file only."""


def read_documents(
    paths: Iterable[Path], *, border: Border = Border.BLANK, text_field: str | None = None
) -> Iterator[str]:
    """The documents of ``paths`` in order: plain text or JSONL, each plain or gzip.

    Files named ``.jsonl`` or ``.ndjson`` (before an optional ``.gz``), and every file where a
    ``text_field`` is given, are JSONL with the text in that field (default ``text``);
    everything else is UTF-8 text cut by ``border``. gzip is known by its first bytes. Empty
    documents are left out; nothing else of the text is changed. Memory: one document.

    Raises:
        InputError: an unreadable or truncated file, invalid UTF-8 or JSON, a missing field.
        LimitError: a line over :data:`MAX_LINE_BYTES`.
    """
    for path in paths:
        name = path.name.lower().removesuffix(".gz")
        lines = _lines(path)
        if text_field is not None or name.endswith((".jsonl", ".ndjson")):
            yield from _records(path, lines, "text" if text_field is None else text_field)
        else:
            yield from _split(lines, border)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their line ends, decoded strictly."""
    number = 0
    try:
        with _open(path) as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise LimitError(
                        f"line is longer than {MAX_LINE_BYTES >> 20} MiB", where=f"{path}:{number}"
                    )
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"invalid UTF-8 at byte {error.start} of the line",
            where=f"{path}:{number}",
            hint="convert the file to UTF-8, for example with iconv",
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            "damaged or truncated gzip after this line", where=f"{path}:{number}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if raw.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield raw


def _records(path: Path, lines: Iterator[tuple[int, str]], text_field: str) -> Iterator[str]:
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError("not a JSON record", where=where) from error
        if not isinstance(record, dict):
            raise InputError("the record is not a JSON object", where=where)
        if text_field not in record:
            found = ", ".join(sorted(map(repr, record))[:8]) or "nothing"
            raise InputError(
                f"field {text_field!r} is missing (found: {found})",
                where=where,
                hint="name the field with --text-field",
            )
        text = record[text_field]
        if not isinstance(text, str):
            raise InputError(f"field {text_field!r} is not a string", where=where)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"field {text_field!r} holds a lone surrogate", where=where) from error
        if text.strip():
            yield text


def _split(lines: Iterator[tuple[int, str]], border: Border) -> Iterator[str]:
    document: list[str] = []
    for _, line in lines:
        separator = border in (Border.BLANK, Border.LINE) and not line.strip()
        if separator or border is Border.LINE or (border is Border.TITLE and _is_title(line)):
            yield from _whole(document)
            document = []
        if not separator:
            document.append(line)
    yield from _whole(document)


def _is_title(line: str) -> bool:
    title = line.strip()
    return (
        len(title) > 4
        and title.startswith("= ")
        and title.endswith(" =")
        and not title.startswith("= =")
    )


def _whole(lines: list[str]) -> Iterator[str]:
    text = "".join(lines)
    if text.strip():
        yield text
