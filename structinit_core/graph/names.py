"""Names of particles, relations or neurons: UTF-8 in one array, found by hash or by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 14


@dataclass(frozen=True, eq=False)
class Names:
    """``count`` distinct names by row.

    text: uint8, all names in UTF-8 one after the other; offsets: int64 (count + 1), where each
    begins in it. Rows are given in the order of first appearance and never change: names are
    only ever appended.
    """

    text: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """The names in the order given."""
        parts = [name.encode() for name in names]
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return cls(np.frombuffer(b"".join(parts), np.uint8), offsets)

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

    def find(self, name: str) -> int | None:
        """The row of ``name``, or ``None``. The first call makes an index: memory O(count)."""
        return self._rows.get(name)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self)}
