"""Names to rows in the order of first appearance: a hash table over UTF-8 (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import LimitError
from structinit_core.graph.memory_access import ask_for, word_at

_ROW_BITS = np.uint64(32)
_MOST = (1 << 31) - 1
_MIX = np.uint64(0xD6E8FEB86659FD93)
AHEAD = 8
"""Names between asking for a place and the next step of the way there."""

Array = NDArray[Any]


class Interner:
    """Distinct names, numbered from 0 as they come.

    A slot of the table holds 32 bits of a name's hash and its row, so that it grows without
    reading a name again. Memory: the names, 8 bytes each for where they begin and 16 to 32 for
    slots; while it grows, the old arrays too.
    """

    def __init__(self) -> None:
        self.count = 0
        self._slots = np.zeros(1 << 10, np.uint64)
        self._text = np.empty(1 << 12, np.uint8)
        self._offsets = np.zeros(1 << 9, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._slots.nbytes + self._text.nbytes + self._offsets.nbytes

    @property
    def text(self) -> NDArray[np.uint8]:
        """All names, one after the other."""
        return self._text[: self._offsets[self.count]]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """int64 (count + 1), where each name begins."""
        return self._offsets[: self.count + 1]

    def add(self, data: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.int32]:
        """The rows of ``data[start:stop]`` for ``spans`` (n, 2), new names given new rows: int32.

        Raises:
            LimitError: more than 2³¹ - 1 names.
        """
        if self.count + len(spans) > _MOST:
            raise LimitError(f"more than {_MOST:,} names")
        self._make_room(len(spans), int((spans[:, 1] - spans[:, 0]).sum()))
        rows, self.count = self._look_up(data, spans, adding=True)
        return rows

    def find(self, data: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.int32]:
        """As :meth:`add`, -1 for a name that is not there."""
        return self._look_up(data, spans, adding=False)[0]

    def _look_up(
        self, data: NDArray[np.uint8], spans: NDArray[np.int64], *, adding: bool
    ) -> tuple[NDArray[np.int32], int]:
        rows = np.empty(len(spans), np.int32)
        kept = np.asarray(data).view()
        kept.flags.writeable = False  # one compiled kernel for all that can be given
        tables = (self._slots, self._text, self._offsets, self.count)
        return rows, _intern(kept, spans, *tables, adding, rows)

    def _make_room(self, names: int, size: int) -> None:
        self._text = grown(self._text, int(self._offsets[self.count]) + size)
        self._offsets = grown(self._offsets, self.count + names + 1)
        if 2 * (self.count + names) > len(self._slots):
            slots = np.zeros(1 << (2 * (self.count + names)).bit_length(), np.uint64)
            _spread(self._slots, slots)
            self._slots = slots


def grown(array: Array, needed: int) -> Array:
    """``array`` with room for ``needed`` rows, half as long again if it must grow."""
    if needed <= len(array):
        return array
    rows = max(needed, len(array) + len(array) // 2)
    larger = np.empty((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash(data: Array, begin: Any, stop: Any) -> Any:
    size = np.int64(stop - begin)
    mark = np.uint64(size) * _MIX
    if size < 8:
        for at in range(begin, stop):
            mark = (mark ^ np.uint64(data[at])) * _MIX
    else:
        for at in range(begin, stop - 8, 8):
            mark = (mark ^ word_at(data, at)) * _MIX
            mark ^= mark >> _ROW_BITS
        mark = (mark ^ word_at(data, stop - 8)) * _MIX
    mark ^= mark >> _ROW_BITS
    return mark * _MIX


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _same(data: Array, begin: Any, text: Array, key: Any, size: Any) -> Any:
    if size < 8:
        same = 0
        while same < size and data[begin + same] == text[key + same]:
            same += 1
        return same == size
    for at in range(0, size - 8, 8):
        if word_at(data, begin + at) != word_at(text, key + at):
            return False
    return word_at(data, begin + size - 8) == word_at(text, key + size - 8)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _intern(
    data: Array,
    spans: Array,
    slots: Array,
    text: Array,
    offsets: Array,
    count: Any,
    adding: bool,
    rows: Array,
) -> Any:
    """Write the row of every span to ``rows``; the count of names afterwards.

    Slot, offset and text of a name are three places that are in no cache: each is asked for
    while the names before are looked up.
    """
    mask = np.uint64(slots.size - 1)
    low = np.uint64(0xFFFFFFFF)
    total = spans.shape[0]
    marks = np.empty(total, np.uint64)
    for at in range(total):
        marks[at] = _hash(data, spans[at, 0], spans[at, 1])
    for at in range(total):
        if at + 3 * AHEAD < total:
            ask_for(slots, np.int64((marks[at + 3 * AHEAD] >> _ROW_BITS) & mask))
        if at + 2 * AHEAD < total:
            slot = slots[np.int64((marks[at + 2 * AHEAD] >> _ROW_BITS) & mask)]
            if slot != 0:
                ask_for(offsets, np.int64(slot & low) - 1)
        if at + AHEAD < total:
            slot = slots[np.int64((marks[at + AHEAD] >> _ROW_BITS) & mask)]
            if slot != 0:
                ask_for(text, offsets[np.int64(slot & low) - 1])
        begin, stop = spans[at, 0], spans[at, 1]
        mark = marks[at] & ~low
        place = np.int64((mark >> _ROW_BITS) & mask)
        found = np.int64(-1)
        while slots[place] != 0:
            if slots[place] & ~low == mark:
                row = np.int64(slots[place] & low) - 1
                key = offsets[row]
                if offsets[row + 1] - key == stop - begin and _same(
                    data, begin, text, key, stop - begin
                ):
                    found = row
                    break
            place = np.int64(np.uint64(place + 1) & mask)
        if found < 0 and adding:
            key = offsets[count]
            for at_byte in range(stop - begin):
                text[key + at_byte] = data[begin + at_byte]
            offsets[count + 1] = key + stop - begin
            slots[place] = mark | np.uint64(count + 1)
            found = count
            count += 1
        rows[at] = found
    return count


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _spread(old: Array, new: Array) -> None:
    """Put the names of one table into a larger one."""
    mask = np.uint64(new.size - 1)
    for slot in old:
        if slot != 0:
            place = np.int64((slot >> _ROW_BITS) & mask)
            while new[place] != 0:
                place = np.int64(np.uint64(place + 1) & mask)
            new[place] = slot
