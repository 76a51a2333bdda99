"""Ranges of tokens whose occurrences fit a memory bound together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def token_ranges(occurrences: NDArray[np.int64], budget: int) -> Iterator[tuple[int, int]]:
    """Ranges ``(low, high)`` of tokens with at most ``budget`` occurrences together.

    In order, and every token is in one of them. A token that exceeds the budget is a range
    of its own.
    """
    ends = np.cumsum(occurrences)
    low = 0
    while low < len(occurrences):
        done = int(ends[low - 1]) if low else 0
        high = int(np.searchsorted(ends, done + budget, side="right"))
        yield low, max(high, low + 1)
        low = max(high, low + 1)
