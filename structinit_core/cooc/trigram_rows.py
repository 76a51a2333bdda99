"""Whole rows of the interpolated Kneser-Ney trigram, as sparse part plus lower order."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.cooc.kneser_ney import KneserNey

_BLOCK_ELEMENTS = 1 << 22

Floats = NDArray[np.float64]
At = NDArray[np.int64]


class TrigramRows:
    """P(c | a, b) of every counted pair (a, b), ascending: what follows it, smoothed.

    P = direct + rest·(lower_b + lower_rest_b·p_kn), the interpolated KN trigram exactly.
    first, second: the tokens a and b, int64 (n,); mass: how often the pair has a follower,
    float64 (n,). Memory: 12 bytes a distinct trigram.
    """

    def __init__(self, model: KneserNey) -> None:
        self.continuation, size = model.continuation, model.vocabulary
        bits = np.uint64(model.counts.bits)
        mask = (np.uint64(1) << bits) - np.uint64(1)
        table, middle = model.trigram_table, model.middle_table
        self.first = (table.contexts >> bits).astype(np.int64)
        self.second = (table.contexts & mask).astype(np.int64)
        self.mass = table.totals
        self.rest: Floats = table.discount * table.kinds / table.totals
        row = np.searchsorted(table.contexts, table.keys >> bits)
        share = (table.counts - table.discount) / table.totals[row]
        self.direct = _rows(row, (table.keys & mask).astype(np.int64), share, len(self.mass), size)
        known = middle.contexts.astype(np.int64)
        self.lower_rest = np.ones(size)
        self.lower_rest[known] = middle.discount * middle.kinds / middle.totals
        totals = np.ones(size)
        totals[known] = middle.totals
        before = (middle.keys >> bits).astype(np.int64)
        share = (middle.counts - middle.discount) / totals[before]
        self.lower = _rows(before, (middle.keys & mask).astype(np.int64), share, size, size)

    def means(self, at: At, columns: NDArray[Any]) -> NDArray[np.float32]:
        """Σ_c P(c | a, b)·columns_c of the rows ``at``: float32 (n, k); columns: (V, k)."""
        lower = self.lower @ columns
        lower += np.outer(self.lower_rest, self.continuation @ columns)
        mixed = self.direct[at] @ columns + self.rest[at, None] * lower[self.second[at]]
        return np.asarray(mixed, np.float32)

    def entropies(self, at: At) -> Floats:
        """−Σ_c P·log P of the rows ``at`` in nats: float64 (n,); V each, in blocks."""
        found, step = np.zeros(len(at)), max(1, _BLOCK_ELEMENTS // len(self.continuation))
        for low in range(0, len(at), step):
            rows = self.dense(at[low : low + step])
            found[low : low + step] = -(rows * np.log(rows)).sum(axis=1)
        return found

    def dense(self, at: At) -> Floats:
        """The rows ``at`` in full: float64 (n, V)."""
        second = self.second[at]
        lower = self.lower[second].toarray() + np.outer(self.lower_rest[second], self.continuation)
        rows: Floats = self.direct[at].toarray() + self.rest[at, None] * lower
        return rows


def _rows(row: At, column: At, share: Floats, rows: int, columns: int) -> sp.csr_array:
    """float32 CSR of entries in order of their row and column."""
    first = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows))))
    entries = (share.astype(np.float32), column.astype(np.int32), first)
    return sp.csr_array(entries, shape=(rows, columns))
