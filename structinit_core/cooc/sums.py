"""Sums of tables in ascending order of their keys, a bounded number of entries at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import IncompatibleError

BYTES_PER_ENTRY = 128
"""Peak of one entry: as it was read, summed twice over, and as it is written."""

Uints = NDArray[np.uint64]
Entries = tuple[Uints, Uints]


class SortedCounts(Protocol):
    """A table on disk as keys, which ascend, and counts."""

    @property
    def directory(self) -> Path:
        """The artifact it belongs to."""

    @property
    def length(self) -> int:
        """How many entries there are."""

    def read(self, start: int, stop: int) -> Entries:
        """Keys and counts of the entries ``start … stop − 1``, in memory."""


def summed(tables: Sequence[SortedCounts], budget: int) -> Iterator[Entries]:
    """The distinct keys of all tables, ascending, each with the sum of its counts.

    Not empty pieces; at most ``budget`` entries are in memory together. Counts uint64.

    Raises:
        IncompatibleError: keys of a table that do not ascend.
    """
    readers = [_Reader(table) for table in tables if table.length]
    while readers:
        for reader in readers:
            reader.fill(budget // len(readers))
        # up to here every table is in memory
        limit = min((int(reader.keys[-1]) for reader in readers if reader.more), default=None)
        taken = [reader.take(limit) for reader in readers]
        yield _added(taken)
        readers = [reader for reader in readers if len(reader.keys) or reader.more]


class _Reader:
    """The next entries of one table that no sum has taken yet."""

    def __init__(self, table: SortedCounts) -> None:
        self._table = table
        self._read, self._last = 0, -1
        self.keys: Uints = np.zeros(0, np.uint64)
        self._counts: Uints = np.zeros(0, np.uint64)

    @property
    def more(self) -> bool:
        """Whether there are entries that are not in memory."""
        return self._read < self._table.length

    def fill(self, entries: int) -> None:
        """Read until ``entries`` are in memory, or all that are left."""
        stop = min(self._read + max(0, entries - len(self.keys)), self._table.length)
        if stop == self._read:
            return
        keys, counts = self._table.read(self._read, stop)
        if int(keys[0]) <= self._last or bool(np.any(keys[1:] <= keys[:-1])):
            raise IncompatibleError("holds counts out of order", where=str(self._table.directory))
        self._read, self._last = stop, int(keys[-1])
        self.keys = np.concatenate((self.keys, keys))
        self._counts = np.concatenate((self._counts, counts))

    def take(self, limit: int | None) -> Entries:
        """The entries in memory up to the key ``limit``, all without one; they are forgotten."""
        end = len(self.keys)
        if limit is not None:
            end = int(np.searchsorted(self.keys, np.uint64(limit), "right"))
        taken = self.keys[:end], self._counts[:end]
        self.keys, self._counts = self.keys[end:].copy(), self._counts[end:].copy()
        return taken


def _added(tables: list[Entries]) -> Entries:
    """The sum of tables that ascend, two neighbours at a time."""
    while len(tables) > 1:
        pairs = zip(tables[::2], tables[1::2], strict=False)
        odd = tables[len(tables) & ~1 :]
        tables = [_add_sorted(*one, *other) for one, other in pairs] + odd
    return tables[0]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_sorted(keys: Uints, counts: Uints, other_keys: Uints, other_counts: Uints) -> Entries:
    """The distinct keys of two ascending tables, ascending, each with the sum of its counts."""
    length, other_length = keys.shape[0], other_keys.shape[0]
    out_keys = np.empty(length + other_length, np.uint64)
    out_counts = np.empty(length + other_length, np.uint64)
    i = j = at = 0
    while i < length and j < other_length:
        key, other = keys[i], other_keys[j]
        mine, theirs = key <= other, other <= key
        out_keys[at] = min(key, other)
        out_counts[at] = counts[i] * np.uint64(mine) + other_counts[j] * np.uint64(theirs)
        i, j, at = i + mine, j + theirs, at + 1
    for rest in range(i, length):
        out_keys[at], out_counts[at] = keys[rest], counts[rest]
        at += 1
    for rest in range(j, other_length):
        out_keys[at], out_counts[at] = other_keys[rest], other_counts[rest]
        at += 1
    return out_keys[:at], out_counts[:at]
