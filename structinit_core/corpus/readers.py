"""Corpus files and stdin to documents of text; every fault names its file and line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from structinit_core.artifact import DamagedError, unpacked
from structinit_core.corpus.parquet import read_parquet
from structinit_core.errors import InputError, LimitError

MAX_LINE_BYTES = 1 << 28
"""A longer line is refused: it would have to be held in memory whole."""


class Border(StrEnum):
    """Where a document of plain text begins; JSONL and Parquet have one document a record."""

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
    """The documents of ``paths`` in order: plain text, JSONL or Parquet.

    Files named ``.parquet`` are Parquet with one document a row, its text in the column
    ``text_field`` (default ``text``). Files named ``.jsonl`` or ``.ndjson`` (before an
    optional ``.gz`` or ``.zst``), and every other file where a ``text_field`` is given, are
    JSONL with the text in that field (default ``text``); everything else is UTF-8 text cut by
    ``border``. Text and JSONL may be packed by gzip or zstd, known by their first bytes.
    Empty documents are left out; nothing else of the text is changed. Memory: one document,
    and of Parquet a few.

    Raises:
        InputError: an unreadable, damaged or truncated file, invalid UTF-8 or JSON, a missing
            field or column.
        LimitError: a line over :data:`MAX_LINE_BYTES`, a zstd window over 128 MiB.
        MissingError: a zstd file, and no library to read it.
    """
    field = "text" if text_field is None else text_field
    for path in paths:
        name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
        if path.name.lower().endswith(".parquet"):
            yield from read_parquet(path, field)
        elif text_field is not None or name.endswith((".jsonl", ".ndjson")):
            yield from _records(path, _lines(path), field)
        else:
            yield from _split(_lines(path), border)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their line ends, decoded strictly."""
    number = 0
    try:
        with unpacked(path) as stream:
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
    except DamagedError as error:
        raise InputError(
            f"damaged or truncated {error} after this line", where=f"{path}:{number}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


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
