"""Checked rows as columns, the way they are numbered and summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.rows import Row


@dataclass(frozen=True)
class RowBlock:
    """n rows.

    names: int64 (n, 4, 2), spans (start, stop) of ``text``, UTF-8: subject, object, relation,
    neuron; an empty span where there is none. amounts: float64 (n,). heights: int64 (n,).
    """

    text: NDArray[np.uint8]
    names: NDArray[np.int64]
    amounts: NDArray[np.float64]
    heights: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.amounts)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> RowBlock:
        """Some rows, by a mask or their numbers."""
        return RowBlock(self.text, self.names[chosen], self.amounts[chosen], self.heights[chosen])

    @classmethod
    def of(cls, rows: Sequence[Row]) -> RowBlock:
        """The rows as columns."""
        parts = [name.encode() for row in rows for name in row[:4]]
        ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return cls(
            np.frombuffer(b"".join(parts), np.uint8),
            np.stack((ends[:-1], ends[1:]), axis=1).reshape(len(rows), 4, 2),
            np.array([row.amount for row in rows], np.float64),
            np.array([row.height for row in rows], np.int64),
        )

    def joined(self, other: RowBlock, places: NDArray[np.int64]) -> RowBlock:
        """The rows of both, sorted by ``places`` (these rows first, then the other's)."""
        order = np.argsort(places)
        return RowBlock(
            np.concatenate((self.text, other.text)),
            np.concatenate((self.names, other.names + len(self.text)))[order],
            np.concatenate((self.amounts, other.amounts))[order],
            np.concatenate((self.heights, other.heights))[order],
        )
