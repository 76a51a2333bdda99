"""Tables without their rare entries, and what was lost with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from structinit_core.artifact import load_array, pretty_json, save_array
from structinit_core.cooc.tables import Tables, open_tables
from structinit_core.errors import IncompatibleError

PRUNED = "pruned.json"
_DROPPED = "pruned.rows.npy"
_ENTRIES_AT_ONCE = 1 << 16
_Size = Annotated[int, Field(ge=0)]


class Loss(BaseModel):
    """One table: entries and occurrences it had, those dropped, and entries of one and two.

    The last two are of the whole table, for they decide the discount.
    """

    model_config = ConfigDict(frozen=True, strict=True)
    entries: _Size = 0
    tokens: _Size = 0
    dropped_entries: _Size = 0
    dropped_tokens: _Size = 0
    once: _Size = 0
    twice: _Size = 0

    @property
    def mass(self) -> float:
        """Share of the occurrences that was dropped."""
        return self.dropped_tokens / self.tokens if self.tokens else 0.0


class Pruned(BaseModel):
    """``pruned.json``: the least count that was kept, and the loss of each table by name."""

    model_config = ConfigDict(frozen=True, strict=True)
    min_count: Annotated[int, Field(ge=2)]
    tables: dict[str, Loss]


class PruningTables:
    """Takes what :class:`~structinit_core.cooc.tables.Tables` takes, and passes on what is kept."""

    def __init__(self, tables: Tables, min_count: int, vocabulary: int, offsets: int) -> None:
        self._tables = tables
        self._min_count = min_count
        names = [*(f"offset{k}" for k in range(1, offsets + 1)), "trigram"]
        self._losses = {name: Loss() for name in names}
        self._dropped = np.zeros(vocabulary, np.int64)

    def add_rows(
        self,
        offset: int,
        low: int,
        lengths: NDArray[np.int64],
        columns: NDArray[Any],
        counts: NDArray[Any],
    ) -> None:
        """Append the rows of one offset that begin with token ``low``, without what is rare."""
        ends = np.cumsum(lengths)
        first = 0
        while first < len(lengths):  # a few rows at a time: a copy of all would need memory
            begin = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(ends, begin + _ENTRIES_AT_ONCE, "right")))
            here = slice(begin, int(ends[last - 1]))
            rows = np.repeat(np.arange(last - first), lengths[first:last])
            kept = self._kept(f"offset{offset}", counts[here])
            if offset == 1:
                rare = counts[here][~kept].astype(np.int64)
                np.add.at(self._dropped, low + first + rows[~kept], rare)
            left = np.bincount(rows[kept], minlength=last - first)
            self._tables.add_rows(
                offset, low + first, left, columns[here][kept], counts[here][kept]
            )
            first = last

    def add_entries(
        self, offset: int, rows: NDArray[Any], columns: NDArray[Any], counts: NDArray[Any]
    ) -> None:
        """Append entries of one offset, without those that are rare."""
        kept = self._kept(f"offset{offset}", counts)
        if offset == 1:
            np.add.at(self._dropped, rows[~kept].astype(np.int64), counts[~kept].astype(np.int64))
        if kept.any():
            self._tables.add_entries(offset, rows[kept], columns[kept], counts[kept])

    def add_trigrams(self, keys: NDArray[Any], counts: NDArray[Any]) -> None:
        """Append trigrams, without those that are rare."""
        for begin in range(0, len(keys), _ENTRIES_AT_ONCE):
            here = slice(begin, begin + _ENTRIES_AT_ONCE)
            kept = self._kept("trigram", counts[here])
            self._tables.add_trigrams(keys[here][kept], counts[here][kept])

    def write(self, directory: Path) -> None:
        """Write ``pruned.json`` and, of offset 1, how much each row lost."""
        pruned = Pruned(min_count=self._min_count, tables=self._losses)
        (directory / PRUNED).write_text(pretty_json(pruned.model_dump()), encoding="utf-8")
        save_array(directory / _DROPPED, self._dropped)

    def _kept(self, name: str, counts: NDArray[Any]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = counts >= self._min_count
        before = self._losses[name]
        self._losses[name] = Loss(
            entries=before.entries + len(counts),
            tokens=before.tokens + int(counts.sum(dtype=np.uint64)),
            dropped_entries=before.dropped_entries + int(np.count_nonzero(~kept)),
            dropped_tokens=before.dropped_tokens + int(counts[~kept].sum(dtype=np.uint64)),
            once=before.once + int(np.count_nonzero(counts == 1)),
            twice=before.twice + int(np.count_nonzero(counts == 2)),
        )
        return kept


@contextmanager
def pruned_tables(
    directory: Path, vocabulary: int, offsets: int, total: int, min_count: int
) -> Iterator[Tables | PruningTables]:
    """The files of all tables as of :func:`open_tables`, for counts from ``min_count`` on only."""
    with open_tables(directory, vocabulary, offsets, total) as tables:
        if min_count <= 1:
            yield tables
            return
        pruning = PruningTables(tables, min_count, vocabulary, offsets)
        yield pruning
        pruning.write(directory)


def read_pruned(directory: Path) -> Pruned | None:
    """What was dropped from the counts in ``directory``; ``None`` if nothing was.

    Raises:
        IncompatibleError: a damaged file.
    """
    path = directory / PRUNED
    if not path.exists():
        return None
    try:
        return Pruned.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise IncompatibleError("is damaged", where=str(path)) from error


def read_dropped(directory: Path, vocabulary: int) -> NDArray[np.int64]:
    """How many followers of each token were dropped from offset 1: int64 (V,).

    Raises:
        IncompatibleError: another array.
    """
    dropped: NDArray[np.int64] = np.array(load_array(directory / _DROPPED, ("int64",)))
    if dropped.shape != (vocabulary,) or int(dropped.min()) < 0:
        raise IncompatibleError("does not hold counts", where=str(directory / _DROPPED))
    return dropped
