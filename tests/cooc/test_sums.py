"""Sums of sorted tables equal those of dictionaries, however little is in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc.sums import summed
from structinit_core.errors import IncompatibleError


@dataclass(frozen=True)
class Table:
    """Keys and counts in memory."""

    keys: list[int]
    counts: list[int]
    directory: Path = Path("table")
    reads: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.keys)

    def read(self, start: int, stop: int) -> tuple[Any, Any]:
        self.reads.append(stop - start)
        return np.array(self.keys[start:stop], np.uint64), np.array(
            self.counts[start:stop], np.uint64
        )


@settings(max_examples=150, deadline=None)
@given(
    tables=st.lists(
        st.dictionaries(st.integers(0, 40) | st.just(2**64 - 1), st.integers(1, 2**60), max_size=9),
        min_size=1,
        max_size=6,
    ),
    extra=st.integers(0, 20),
)
def test_sums_equal_a_dictionary_and_pieces_fit(tables: list[dict[int, int]], extra: int) -> None:
    expected: Counter[int] = Counter()
    for table in tables:
        expected.update(table)
    budget = len(tables) + extra
    ordered = [Table(*map(list, zip(*sorted(t.items()), strict=True))) for t in tables if t]
    found: list[tuple[int, int]] = []
    for keys, counts in summed([*ordered, Table([], [])], budget):
        assert 0 < len(keys) <= budget
        found += zip(keys.tolist(), counts.tolist(), strict=True)
    assert found == sorted(expected.items())


def test_every_entry_is_read_once() -> None:
    dense = Table(list(range(1000)), [1] * 1000)
    sparse = Table(list(range(0, 1000, 100)), [1] * 10)
    assert sum(int(counts.sum()) for _, counts in summed([dense, sparse], 16)) == 1010
    assert (sum(dense.reads), sum(sparse.reads)) == (1000, 10)


@pytest.mark.parametrize("keys", [[3, 2, 9, 9], [1, 2, 2, 3], [5, 6, 7, 1], [0, 1, 1, 2]])
@pytest.mark.parametrize("budget", [1, 2, 3, 100])
def test_keys_that_do_not_ascend_are_refused(keys: list[int], budget: int) -> None:
    with pytest.raises(IncompatibleError, match="out of order"):
        list(summed([Table(keys, [1] * len(keys))], budget))
