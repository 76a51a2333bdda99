"""Plain lines of a delimited file to columns, straight from the bytes (numba).

What is not plain is left to the exact reader: a quote or a newline within quotes, control
characters, invalid UTF-8, a number in another form than decimal, a missing field, anything that
may be a fault.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.columns import Layout
from structinit_core.graph.rows import MAX_NAME_BYTES

PLAIN, OTHER, BLANK = range(3)
"""What a line is: read here, left to the exact reader, or empty."""
_ORDINARY, _DELIMITER, _NEWLINE, _RETURN, _HIGH, _IRREGULAR, _QUOTE = range(7)
_COLUMNS = ("from", "to", "relation", "neuron", "amount", "rating", "valence", "height")
_FROM, _TO, _RELATION, _NEURON, _AMOUNT, _RATING, _VALENCE, _HEIGHT, _TIMESTAMP = range(9)
_IGNORED = -1
_EXACT_DIGITS = 15
"""A decimal number of so many digits is the quotient of two exact doubles."""
_POWERS = 10.0 ** np.arange(_EXACT_DIGITS + 1)

Array = NDArray[Any]


def byte_classes(delimiter: str, *, quoting: bool) -> NDArray[np.uint8]:
    """uint8 (256,): what each byte means in a line."""
    classes = np.zeros(256, np.uint8)
    classes[:32] = classes[127] = _IRREGULAR
    classes[128:] = _HIGH
    classes[ord("\n")], classes[ord("\r")] = _NEWLINE, _RETURN
    if quoting:
        classes[ord('"')] = _QUOTE
    classes[ord(delimiter)] = _DELIMITER
    return classes


def field_columns(layout: Layout) -> NDArray[np.int64]:
    """int64 (fields,): the column that each field of a row is, or none."""
    columns = np.full(layout.fields, _IGNORED, np.int64)
    for code, column in enumerate(_COLUMNS):
        if column in layout:
            columns[layout.places[column]] = code
    if "timestamp" in layout and "height" not in layout:
        columns[layout.places["timestamp"]] = _TIMESTAMP
    return columns


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scan_lines(
    data: Array,
    begin: Any,
    stop: Any,
    columns: Array,
    classes: Array,
    lines: Array,
    names: Array,
    amounts: Array,
    heights: Array,
) -> Any:
    """How many lines were cut from ``data[begin:stop]``, whose last byte is a newline.

    Written by line, as many as there is room for: ``lines`` int64 (n, 3), begin, end without
    the newline, and what it is; of plain ones ``names`` int64 (n, 4, 2), spans of subject,
    object, relation and neuron, ``amounts`` and ``heights``. Cost: about a nanosecond a byte.
    """
    row, at = 0, begin
    fields = columns.size
    while at < stop and row < lines.shape[0]:
        first = start = at
        field = 0
        closed = 0  # where the quotes around the field end
        valence = 1
        names[row] = 0
        amounts[row] = 1.0
        heights[row] = 0
        good = fields > 0
        while good:
            kind = classes[data[at]]
            if kind == _ORDINARY:
                at += 1
                continue
            if kind == _HIGH:
                size = _character(data, at, stop)
                at += size
                good = size > 0
                continue
            if kind == _QUOTE and at == start and not closed:
                start = at + 1
                closed = _closing(data, start, stop, classes)
                good = closed > 0
                at = max(at, closed + 1)
                continue
            ends = kind == _NEWLINE or (kind == _RETURN and data[at + 1] == 10)
            loose = closed > 0 and closed + 1 < at
            if not (ends or kind == _DELIMITER) or loose or field == fields:
                good = False
                break
            column = columns[field]
            field += 1
            past = closed if closed > 0 else at
            if column == _IGNORED:
                pass
            elif column <= _NEURON:
                size = past - start
                if size > MAX_NAME_BYTES or (size == 0 and column <= _TO):
                    good = False
                elif size > 0:
                    good = data[start] != 32
                    names[row, column, 0] = start
                    names[row, column, 1] = past
            elif past > start:
                negative = data[start] == 45
                digits, value, shift = _decimal(data, start + negative, past)
                whole = digits == past - start - negative
                if digits == 0:
                    good = False
                elif column == _VALENCE:
                    valence = -value if negative else value
                    good = whole and value <= 1
                elif column >= _HEIGHT:
                    good = not negative and (whole or column == _TIMESTAMP)
                    heights[row] = value // np.int64(_POWERS[shift])
                elif column == _RATING:
                    amounts[row] = 0.0 if negative else value / _POWERS[shift]
                else:
                    good = not negative
                    amounts[row] = value / _POWERS[shift]
            if ends:
                good = good and field == fields
                break
            at += 1
            start = at
            closed = 0
        while data[at] != 10:
            at += 1
        lines[row, 0], lines[row, 1] = first, at
        lines[row, 2] = PLAIN if good else OTHER
        if at == first or (at == first + 1 and data[first] == 13):
            lines[row, 2] = BLANK
        if valence < 1:
            amounts[row] = 0.0
        at += 1
        row += 1
    return row


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _closing(data: Array, at: Any, stop: Any, classes: Array) -> Any:
    """Where the quote opened before ``at`` is closed; 0 where something else comes first."""
    while True:
        kind = classes[data[at]]
        if kind == _QUOTE:
            return at
        size = _character(data, at, stop) if kind == _HIGH else 1
        if size == 0 or kind not in (_ORDINARY, _DELIMITER, _HIGH):
            return 0
        at += size


@nb.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _decimal(data: Array, start: Any, stop: Any) -> Any:
    """Digits, the number they are without the point, and how many stand after the point.

    No digits: not a decimal number of at most 15 digits.
    """
    value, digits, point = np.int64(0), 0, -1
    for at in range(start, stop):
        byte = data[at]
        if 48 <= byte <= 57 and digits < _EXACT_DIGITS:
            value = value * 10 + np.int64(byte - 48)
            digits += 1
        elif byte == 46 and point < 0:
            point = digits
        else:
            return 0, value, 0
    return digits, value, digits - point if point >= 0 else 0


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _character(data: Array, at: Any, stop: Any) -> Any:
    """Bytes of the character beyond ASCII at ``at``; 0: no UTF-8, or a control character."""
    lead = np.int64(data[at])
    if lead < 0xC2 or lead > 0xF4:
        return 0
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if at + size > stop:
        return 0
    code = lead & (0x7F >> size)
    for follow in range(at + 1, at + size):
        byte = np.int64(data[follow])
        if byte & 0xC0 != 0x80:
            return 0
        code = code << 6 | (byte & 0x3F)
    least = 0xA0 if size == 2 else 0x800 if size == 3 else 0x10000
    if code < least or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return 0
    return size
