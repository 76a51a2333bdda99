"""Distinct links in the order of first appearance, weights summed (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import LimitError
from structinit_core.graph.interning import AHEAD, grown
from structinit_core.graph.memory_access import ask_for

_MOST = (1 << 31) - 1

Array = NDArray[Any]


class LinkTable:
    """Links by row: subject, relation and object as a key, what the first row says, and a sum.

    Memory: 32 bytes a link and 8 to 16 for slots; while it grows, the old arrays too.
    """

    def __init__(self) -> None:
        self.count = 0
        self._slots = np.zeros(1 << 10, np.int32)
        self._keys = np.empty((1 << 9, 4), np.int32)
        self._heights = np.empty(1 << 9, np.int64)
        self._weights = np.empty(1 << 9, np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        parts = (self._slots, self._keys, self._heights, self._weights)
        return sum(part.nbytes for part in parts)

    @property
    def columns(self) -> dict[str, Any]:
        """subject, relation, object, neuron int32; height int64; weight float64, each (E,)."""
        keys = self._keys[: self.count]
        names = ("subject", "relation", "object", "neuron")
        ints = {name: np.ascontiguousarray(keys[:, at]) for at, name in enumerate(names)}
        return ints | {
            "height": self._heights[: self.count].copy(),
            "weight": self._weights[: self.count].copy(),
        }

    def add(
        self, keys: NDArray[np.int32], heights: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> None:
        """Add rows: ``keys`` (n, 4) subject, relation, object, neuron; weights are summed in order.

        Raises:
            LimitError: more than 2³¹ - 1 links.
        """
        needed = self.count + len(keys)
        if needed > _MOST:
            raise LimitError(f"more than {_MOST:,} links")
        self._keys = grown(self._keys, needed)
        self._heights = grown(self._heights, needed)
        self._weights = grown(self._weights, needed)
        if 2 * needed > len(self._slots):
            self._slots = np.zeros(1 << (2 * needed).bit_length(), np.int32)
            _index(self._keys[: self.count], self._slots)
        self.count = _add(
            *(keys, heights, weights),
            *(self._slots, self._keys, self._heights, self._weights, self.count),
        )


@nb.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _place(keys: Array, at: Any, mask: Any) -> Any:
    mark = np.uint64(keys[at, 0]) * np.uint64(0x9E3779B97F4A7C15)
    mark = (mark ^ np.uint64(keys[at, 2])) * np.uint64(0xD6E8FEB86659FD93)
    mark = (mark ^ (mark >> np.uint64(32)) ^ np.uint64(keys[at, 1])) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mark >> np.uint64(32)) & mask)


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(
    new_keys: Array,
    new_heights: Array,
    new_weights: Array,
    slots: Array,
    keys: Array,
    heights: Array,
    weights: Array,
    count: int,
) -> int:
    mask = np.uint64(slots.size - 1)
    total = new_keys.shape[0]
    places = np.empty(total, np.int64)
    for at in range(total):
        places[at] = _place(new_keys, at, mask)
    for at in range(total):
        if at + 2 * AHEAD < total:
            ask_for(slots, places[at + 2 * AHEAD])
        if at + AHEAD < total:
            row = slots[places[at + AHEAD]] - 1
            if row >= 0:
                ask_for(keys, np.int64(row) * keys.shape[1])
        place = places[at]
        found = -1
        while slots[place] != 0:
            row = slots[place] - 1
            if (
                keys[row, 0] == new_keys[at, 0]
                and keys[row, 1] == new_keys[at, 1]
                and keys[row, 2] == new_keys[at, 2]
            ):
                found = row
                break
            place = np.int64(np.uint64(place + 1) & mask)
        if found >= 0:
            weights[found] += new_weights[at]
            continue
        keys[count] = new_keys[at]
        heights[count] = new_heights[at]
        weights[count] = new_weights[at]
        count += 1
        slots[place] = count
    return count


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _index(keys: Array, slots: Array) -> None:
    """Put the links into a larger table."""
    mask = np.uint64(slots.size - 1)
    for row in range(keys.shape[0]):
        place = _place(keys, row, mask)
        while slots[place] != 0:
            place = np.int64(np.uint64(place + 1) & mask)
        slots[place] = row + 1
