"""JSON lines to checked rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from structinit_core.errors import InputError
from structinit_core.graph.columns import Layout, layout_of
from structinit_core.graph.lines import opened_lines
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.row_block import RowBlock
from structinit_core.graph.rows import BadRowError, Row, check_row

_LAYOUTS = 256
"""Layouts that are kept: records of one file have few sets of fields."""


def read_records(path: Path, columns: Mapping[str, str], bad: Quarantine) -> Iterator[RowBlock]:
    """The records of ``path``, plain or packed, in blocks; bad ones go to ``bad``.

    A record is an object on a line; its values are text, numbers or null, which is nothing
    said. Fields are known by their names in each record. Cost: some 10 µs a record. Memory: a
    few MiB.

    Raises:
        InputError: an unreadable, damaged or empty file, a first record without known fields.
        LimitError: a line over 16 MiB.
    """
    layouts: dict[tuple[str, ...], Layout] = {}
    with opened_lines(path) as lines:
        while lines.begin < lines.stop or lines.fill():
            rows: list[Row] = []
            raw = lines.data[lines.begin : lines.stop].tobytes()
            lines.begin = lines.stop
            for line in raw.removesuffix(b"\n").split(b"\n"):
                lines.number += 1
                if not line.strip():
                    continue
                try:
                    record = _parsed(line)
                    layout = _layout(record, columns, layouts, f"{path}:{lines.number}")
                    rows.append(check_row(_texts(record, layout), layout))
                except BadRowError as error:
                    text = line.decode("utf-8", "backslashreplace")
                    bad.add(path, lines.number, str(error), text)
            yield RowBlock.of(rows)
        if not layouts:
            raise InputError("holds no record", where=str(path))


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        raise BadRowError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise BadRowError("not a JSON record") from None
    if not isinstance(record, dict):
        raise BadRowError("the record is no JSON object")
    return record


def _layout(
    record: dict[str, Any],
    columns: Mapping[str, str],
    layouts: dict[tuple[str, ...], Layout],
    where: str,
) -> Layout:
    fields = tuple(record)
    if fields in layouts:
        return layouts[fields]
    known = {name.strip().casefold() for name in fields}
    wanted = {
        column: name
        for column, name in columns.items()
        if not layouts or not name or name.strip().casefold() in known
    }
    try:
        layout = layout_of(fields, wanted, where, named=True)
    except InputError as error:
        if not layouts:
            raise
        raise BadRowError(error.message) from None
    if len(layouts) < _LAYOUTS:
        layouts[fields] = layout
    return layout


def _texts(record: dict[str, Any], layout: Layout) -> list[str]:
    """The values that are read as the text they would be in a table."""
    values, texts = list(record.values()), [""] * len(record)
    for column, at in layout.places.items():
        text = as_text(values[at])
        if text is None:
            raise BadRowError(f"{column} is neither text nor a number")
        texts[at] = text
    return texts


def as_text(value: Any) -> str | None:
    """A JSON value as text; null is "", and ``None`` what is neither text nor a number."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return None
