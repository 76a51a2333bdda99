"""One row of a link list, checked: what it says, or why it cannot be used."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from structinit_core.graph.columns import Layout

MAX_NAME_BYTES = 4096
"""A longer name is a bad row: no vocabulary wants it."""
_NUMBER = re.compile(
    r" *[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|inf|infinity) *", re.ASCII | re.IGNORECASE
)
_INTEGER = re.compile(r" *[+-]?\d{1,19} *", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MOST = (1 << 63) - 1


class BadRowError(Exception):
    """A row that cannot be used; the message says why."""


class Row(NamedTuple):
    """A checked row; ``relation`` and ``neuron`` are "" where there is none.

    amount: finite, 1 where the file has none; 0 where nothing positive is said: a valence of 0
    or -1, a negative rating, an amount of 0. height: 0 where there is none; from the timestamp,
    in whole seconds since 1970, where the file has that alone.
    """

    subject: str
    object: str
    relation: str
    neuron: str
    amount: float
    height: int


def check_row(fields: Sequence[str], layout: Layout) -> Row:
    """What a row of a file with this layout says; bytes that are no UTF-8 are lone surrogates.

    Raises:
        BadRowError: another number of fields, an empty ``from`` or ``to``, a name that is not
            UTF-8, holds a control character or is longer than :data:`MAX_NAME_BYTES`, no number
            or an amount that is negative or not finite, a valence outside -1 … 1.
    """
    if len(fields) != layout.fields:
        raise BadRowError(f"{len(fields)} fields, not {layout.fields}")
    found = {column: fields[at] for column, at in layout.places.items()}
    for column in ("from", "to"):
        if not found[column].strip(" "):
            raise BadRowError(f"{column} is empty")
    if "rating" in found:
        amount = max(_number("rating", found["rating"]), 0.0)
    else:
        amount = _number("amount", found.get("amount", ""))
        if amount < 0:
            raise BadRowError("amount is negative")
        if _valence(found.get("valence", "")) < 1:
            amount = 0.0
    return Row(
        _name("from", found["from"]),
        _name("to", found["to"]),
        _name("relation", found.get("relation", "")),
        _name("neuron", found.get("neuron", "")),
        amount,
        _height(found["height"]) if "height" in found else _seconds(found.get("timestamp", "")),
    )


def _name(column: str, text: str) -> str:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise BadRowError(f"{column} is not UTF-8") from None
    if size > MAX_NAME_BYTES:
        raise BadRowError(f"{column} is longer than {MAX_NAME_BYTES} bytes")
    if _CONTROL.search(text):
        raise BadRowError(f"{column} holds a control character")
    return text if text.strip(" ") else ""


def _number(column: str, text: str) -> float:
    if not text.strip(" "):
        return 1.0
    if not _NUMBER.fullmatch(text):
        raise BadRowError(f"{column} is no number")
    value = float(text)
    if not math.isfinite(value):
        raise BadRowError(f"{column} is not finite")
    return value


def _valence(text: str) -> int:
    if not text.strip(" "):
        return 1
    value = _number("valence", text)
    if value not in (-1, 0, 1):
        raise BadRowError("valence is not -1, 0 or 1")
    return int(value)


def _height(text: str) -> int:
    if not text.strip(" "):
        return 0
    if not _INTEGER.fullmatch(text) or not 0 <= int(text) <= _MOST:
        raise BadRowError("height is no whole number from 0")
    return int(text)


def _seconds(text: str) -> int:
    if not text.strip(" "):
        return 0
    if _NUMBER.fullmatch(text):
        value = float(text)
        if not 0 <= value < _MOST:
            raise BadRowError("timestamp is out of range")
        return int(value)
    try:
        moment = datetime.fromisoformat(text.strip(" "))
    except ValueError:
        raise BadRowError("timestamp is neither seconds nor a date") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    if seconds < 0:
        raise BadRowError("timestamp is out of range")
    return seconds
