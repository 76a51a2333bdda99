"""CSV and tab-separated files to checked rows, line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from structinit_core.artifact import DamagedError, unpacked
from structinit_core.errors import InputError, LimitError
from structinit_core.graph.columns import Layout, layout_of
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.row_block import RowBlock
from structinit_core.graph.rows import BadRowError, Row, check_row

MAX_LINE_BYTES = 1 << 24
"""A longer line is refused: it would have to be held in memory whole."""
_ROWS = 1 << 14
_SPANNED = 64
"""Lines that a quoted field may run over."""


def read_delimited(
    path: Path, delimiter: str, columns: Mapping[str, str], bad: Quarantine
) -> Iterator[RowBlock]:
    """The rows of ``path``, plain or packed, in blocks; bad ones go to ``bad``.

    Comma-separated fields may be quoted as RFC 4180 has it; tab-separated ones are never.
    Empty lines are no rows.

    Raises:
        InputError: an unreadable, damaged or empty file, columns that are not there.
        LimitError: a line over :data:`MAX_LINE_BYTES`.
    """
    layout: Layout | None = None
    rows: list[Row] = []
    for number, fields, text in _records(path, delimiter):
        if layout is None and not isinstance(fields, str):
            layout = layout_of(fields, columns, f"{path}:{number}")
            if layout.header:
                continue
        try:
            if layout is None or isinstance(fields, str):
                raise BadRowError(fields)
            rows.append(check_row(fields, layout))
        except BadRowError as error:
            bad.add(path, number, str(error), text)
        if len(rows) == _ROWS:
            yield RowBlock.of(rows)
            rows = []
    if layout is None:
        raise InputError("holds no row", where=str(path))
    yield RowBlock.of(rows)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | str, str]]:
    """Line number, fields or what is wrong with the row, and the row's text."""
    waiting: list[tuple[int, str]] = []
    source = _lines(path)
    while line := waiting.pop(0) if waiting else next(source, None):
        number, text = line
        if not text.strip(" "):
            continue
        if delimiter == "\t" or '"' not in text:
            yield number, text.split(delimiter), text
            continue
        taken = [text]
        ahead = 0
        while (fields := _quoted(taken, delimiter)) is None and ahead < _SPANNED:
            if ahead == len(waiting):
                following = next(source, None)
                if following is None:
                    break
                waiting.append(following)
            taken.append(waiting[ahead][1])
            ahead += 1
        if fields is None:
            yield number, "a quote is never closed", text
            continue
        del waiting[:ahead]
        yield number, fields, "\n".join(taken)


def _quoted(lines: list[str], delimiter: str) -> list[str] | str | None:
    """The fields of one record; ``None`` where a quote is still open; else what is wrong."""
    try:
        records = list(
            csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True)
        )
    except csv.Error as error:
        return None if "unexpected end of data" in str(error) else str(error)
    return records[0]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; bytes that are no UTF-8 become lone surrogates."""
    number = 0
    with faults(path) as place, unpacked(path) as stream:
        while raw := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            place[0] = number
            if len(raw) > MAX_LINE_BYTES:
                raise LimitError(
                    f"line is longer than {MAX_LINE_BYTES >> 20} MiB", where=f"{path}:{number}"
                )
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


@contextmanager
def faults(path: Path) -> Iterator[list[int]]:
    """Faults of reading ``path`` as errors that name it and the last line read, kept by the caller.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    place = [0]
    try:
        yield place
    except DamagedError as error:
        raise InputError(
            f"damaged or truncated {error} after this line", where=f"{path}:{place[0]}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
