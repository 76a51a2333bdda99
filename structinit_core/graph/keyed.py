"""Files that say one thing of each name: stakes of neurons, labels of particles."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structinit_core.artifact import DamagedError, unpacked
from structinit_core.errors import InputError, LimitError
from structinit_core.graph.lines import text_lines
from structinit_core.graph.records import as_text
from structinit_core.printable import printable

MAX_JSON_BYTES = 1 << 28
"""A JSON file, which is parsed whole, may be so large unpacked."""
_NEURONS = ("neuron", "address", "id", "name")
_STAKES = ("stake", "boot", "balance", "amount", "weight")


@dataclass(frozen=True)
class KeyedFile:
    """A file and, where their names are not known anyway, its columns of names and values.

    CSV (``.csv``), JSON lines (``.jsonl``, ``.ndjson``), JSON (``.json``: one object, its fields
    the names) or else tab-separated text; plain or packed by gzip or zstd. A table of two
    columns needs no header.
    """

    path: Path
    key: str = ""
    value: str = ""


def read_stakes(file: KeyedFile) -> dict[str, float]:
    """The stake of each neuron, finite and from 0.

    Raises:
        InputError: an unreadable file, unknown columns, a stake that is no such number, a
            neuron named twice. LimitError: a JSON file over 256 MiB.
    """
    stakes: dict[str, float] = {}
    for where, name, text in read_pairs(file, _NEURONS, _STAKES):
        try:
            stake = float(text)
        except ValueError:
            stake = math.nan
        if not 0 <= stake < math.inf:
            if where.endswith(":1") and not stakes and not file.value:
                raise InputError(
                    "neither a header with a known column nor a stake from 0",
                    where=where,
                    hint=f"known are {', '.join(_STAKES)}; or name the column",
                )
            raise InputError("stake is no number from 0", where=where)
        if name in stakes:
            raise InputError(f"neuron {printable(name)!r} is named twice", where=where)
        stakes[name] = stake
    return stakes


def read_pairs(
    file: KeyedFile, keys: Sequence[str], values: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """``file:line``, name and value of every row; ``keys`` and ``values`` are known columns.

    Raises:
        InputError: an unreadable file, unknown columns, a row without one.
        LimitError: a JSON file over 256 MiB.
    """
    name = file.path.name.casefold().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".json"):
        return _object(file.path)
    if name.endswith((".jsonl", ".ndjson")):
        return _records(file, keys, values)
    return _table(file, "," if name.endswith(".csv") else "\t", keys, values)


def _table(
    file: KeyedFile, delimiter: str, keys: Sequence[str], values: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    places: tuple[int, int] | None = None
    for number, row in _rows(file.path, delimiter):
        if not any(row):
            continue
        where = f"{file.path}:{number}"
        if places is None:
            known = [name.strip().casefold() for name in row]
            key, value = (
                _place(known, wanted, names)
                for wanted, names in ((file.key, keys), (file.value, values))
            )
            headed = key is not None and value is not None and key != value
            if not headed and (len(row) != 2 or file.key or file.value):
                raise _unknown(row, where)
            places = (key or 0, value or 0) if headed else (0, 1)
            if headed:
                continue
        if len(row) <= max(places):
            raise InputError(f"{len(row)} fields, too few", where=where)
        yield where, row[places[0]], row[places[1]]


def _place(known: Sequence[str], wanted: str, names: Sequence[str]) -> int | None:
    """Where a column stands: the wanted one, or the first of the names that is there."""
    for name in [wanted.strip().casefold()] if wanted else names:
        if name in known:
            return known.index(name)
    return None


def _unknown(found: Sequence[str], where: str) -> InputError:
    listed = ", ".join(repr(printable(name[:40])) for name in found[:8])
    return InputError(
        f"no known columns of names and values (found: {listed})",
        where=where,
        hint="name the two columns",
    )


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    if delimiter == "\t":
        yield from ((number, line.split("\t")) for number, line in text_lines(path))
        return
    reader = csv.reader((f"{line}\n" for _, line in text_lines(path)), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(str(error), where=f"{path}:{reader.line_num}") from error


def _records(
    file: KeyedFile, keys: Sequence[str], values: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    for number, line in text_lines(file.path):
        if not line.strip():
            continue
        where = f"{file.path}:{number}"
        record = _parsed(line, where)
        known = {name.strip().casefold(): value for name, value in record.items()}
        names = list(known)
        key, value = _place(names, file.key, keys), _place(names, file.value, values)
        if key is None or value is None:
            raise _unknown(names, where)
        yield where, _said(known[names[key]], where), _said(known[names[value]], where)


def _object(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        with unpacked(path) as stream:
            raw = stream.read(MAX_JSON_BYTES + 1)
    except DamagedError as error:
        raise InputError(f"damaged or truncated {error}", where=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if len(raw) > MAX_JSON_BYTES:
        raise LimitError(
            f"is larger than {MAX_JSON_BYTES >> 20} MiB", where=str(path), hint="use JSON lines"
        )
    for name, value in _parsed(raw, str(path)).items():
        where = f"{path}: {printable(name[:80])}"
        yield where, name, _said(value, where)


def _parsed(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", where=where) from error
    if not isinstance(record, dict):
        raise InputError("is no JSON object", where=where)
    return record


def _said(value: Any, where: str) -> str:
    text = as_text(value)
    if text is None:
        raise InputError("a value is neither text nor a number", where=where)
    return text
