"""The files of a count while it is made: rows and trigrams appended in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import ArrayWriter, index_dtype, save_array


@dataclass(frozen=True)
class Tables:
    """The open files of a count: rows are appended in the order of their first token."""

    columns: list[ArrayWriter]
    counts: list[ArrayWriter]
    row_lengths: list[NDArray[np.int64]]
    keys: ArrayWriter
    key_counts: ArrayWriter

    def add_rows(
        self,
        offset: int,
        low: int,
        lengths: NDArray[np.int64],
        columns: NDArray[Any],
        counts: NDArray[Any],
    ) -> None:
        """Append the rows of one offset that begin with token ``low``."""
        self.row_lengths[offset - 1][low : low + len(lengths)] = lengths
        self.columns[offset - 1].append(columns)
        self.counts[offset - 1].append(counts)

    def add_entries(
        self, offset: int, rows: NDArray[Any], columns: NDArray[Any], counts: NDArray[Any]
    ) -> None:
        """Append entries of one offset, at least one; the last row may go on in the next call."""
        low = int(rows[0])
        lengths = np.bincount((rows - rows[0]).astype(np.int64))
        self.row_lengths[offset - 1][low : low + len(lengths)] += lengths
        self.columns[offset - 1].append(columns)
        self.counts[offset - 1].append(counts)

    def add_trigrams(self, keys: NDArray[Any], counts: NDArray[Any]) -> None:
        """Append trigrams."""
        self.keys.append(keys)
        self.key_counts.append(counts)


@contextmanager
def open_tables(directory: Path, vocabulary: int, offsets: int, total: int) -> Iterator[Tables]:
    """The files of all tables; at a clean end the row pointers are written too.

    Counts have the width that a ``total`` of so many tokens needs.
    """
    width = count_dtype(total)
    index = index_dtype(vocabulary, total)
    with ExitStack() as stack:

        def writer(name: str, dtype: Any) -> ArrayWriter:
            return stack.enter_context(ArrayWriter(directory / name, dtype))

        tables = Tables(
            columns=[writer(f"offset{k}.indices.npy", index) for k in range(1, offsets + 1)],
            counts=[writer(f"offset{k}.data.npy", width) for k in range(1, offsets + 1)],
            row_lengths=[np.zeros(vocabulary, np.int64) for _ in range(offsets)],
            keys=writer("trigram.keys.npy", np.uint64),
            key_counts=writer("trigram.counts.npy", width),
        )
        yield tables
    for k, lengths in enumerate(tables.row_lengths, start=1):
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(index)
        save_array(directory / f"offset{k}.indptr.npy", indptr)


def count_dtype(total: int) -> np.dtype[Any]:
    """The type of the counts of ``total`` tokens."""
    return np.dtype(np.uint32 if total < 2**32 else np.uint64)
