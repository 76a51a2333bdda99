"""Names of particles, relations or neurons: UTF-8 in one array, found by hash or by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.interning import Interner

_AT_ONCE = 1 << 14


@dataclass(frozen=True, eq=False)
class Names:
    """``count`` names by row; distinct but for labels.

    text: uint8, all names in UTF-8 one after the other; offsets: int64 (count + 1), where each
    begins in it. Rows are given in the order of first appearance and never change: names are
    only ever appended.
    """

    text: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """The names in the order given."""
        return cls(*_packed(names))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        if not 0 <= row < len(self):
            raise IndexError(row)
        low, high = self.offsets[row], self.offsets[row + 1]
        return bytes(self.text[low:high]).decode()

    def __iter__(self) -> Iterator[str]:
        for low in range(0, len(self), _AT_ONCE):
            bounds = self.offsets[low : low + _AT_ONCE + 1].tolist()
            first, text = bounds[0], bytes(self.text[bounds[0] : bounds[-1]])
            for start, stop in pairwise(bounds):
                yield text[start - first : stop - first].decode()

    @property
    def distinct(self) -> bool:
        """Whether no name is there twice; makes the index of :meth:`rows`."""
        return self._index[0].count == len(self)

    def find(self, name: str) -> int | None:
        """The first row of ``name``, or ``None``; as :meth:`rows`."""
        row = int(self.rows([name])[0])
        return None if row < 0 else row

    def rows(self, names: Iterable[str]) -> NDArray[np.int32]:
        """The first row of each name, -1 for one that is not there: int32.

        The first call makes an index: time O(bytes), memory some 40 bytes a name and its text.
        """
        return self.rows_of(*_packed(names))

    def rows_of(self, text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
        """As :meth:`rows` of names that are given as arrays."""
        interner, first = self._index
        found = interner.find(text, np.stack((offsets[:-1], offsets[1:]), axis=1))
        return np.where(found < 0, found, first[found])

    @cached_property
    def _index(self) -> tuple[Interner, NDArray[np.int32]]:
        """The distinct names and the first row of each."""
        interner = Interner()
        spans = np.stack((self.offsets[:-1], self.offsets[1:]), axis=1)
        found = interner.add(self.text, spans)
        first = np.full(interner.count + 1, -1, np.int32)
        first[found[::-1]] = np.arange(len(self), dtype=np.int32)[::-1]
        return interner, first


def _packed(names: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Text and offsets; a lone surrogate becomes bytes that no name holds."""
    parts = [name.encode("utf-8", "surrogatepass") for name in names]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets
