"""Checked rows as columns, the way they are numbered and summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.rows import Row


@dataclass(frozen=True)
class RowBlock:
    """n rows. Names are spans (start, stop) of ``text``, UTF-8: int64.

    particles: (2n, 2), subject and object of each row in turn. relations and neurons: (n, 2),
    an empty span where there is none. amounts: float64 (n,). heights: int64 (n,).
    """

    text: NDArray[np.uint8]
    particles: NDArray[np.int64]
    relations: NDArray[np.int64]
    neurons: NDArray[np.int64]
    amounts: NDArray[np.float64]
    heights: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.amounts)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> RowBlock:
        """The rows as columns."""
        parts = [name.encode() for row in rows for name in row[:4]]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        spans = np.stack((np.concatenate(([0], ends[:-1])), ends), axis=1) if parts else ends
        spans = spans.reshape(len(rows), 4, 2).astype(np.int64)
        return cls(
            np.frombuffer(b"".join(parts), np.uint8),
            np.ascontiguousarray(spans[:, :2]).reshape(-1, 2),
            np.ascontiguousarray(spans[:, 2]),
            np.ascontiguousarray(spans[:, 3]),
            np.array([row.amount for row in rows], np.float64),
            np.array([row.height for row in rows], np.int64),
        )
