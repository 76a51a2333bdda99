"""The scoring rule's windows: which tokens are scored, the same for every model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cut_windows(spans: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Non-overlapping windows ``(start, stop)`` of at most ``context`` tokens, int64 (n, 2).

    Windows end where a span (a document) ends. The tokens at positions 1 … of each are
    scored, each from what precedes it in its window; windows of one token score nothing and
    are left out.
    """
    cut = [
        (start, min(start + context, stop))
        for begin, stop in spans.tolist()
        for start in range(begin, stop, context)
    ]
    windows = np.array(cut, dtype=np.int64).reshape(-1, 2)
    return windows[windows[:, 1] - windows[:, 0] >= 2]


def spread(windows: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    """Windows evenly spaced over all of ``windows`` that hold at most ``tokens`` tokens.

    At least one window. Of every ``total / tokens`` tokens the window that holds the first is
    kept, while the budget lasts.
    """
    lengths = windows[:, 1] - windows[:, 0]
    ends = np.cumsum(lengths)
    if len(windows) == 0 or ends[-1] <= tokens:
        return windows
    count = max(1, len(windows) * tokens // int(ends[-1]))
    marks = np.arange(count) * int(ends[-1]) // count
    chosen = np.unique(np.searchsorted(ends, marks, side="right"))
    kept = np.cumsum(lengths[chosen]) <= tokens
    kept[0] = True
    return windows[chosen[kept]]


def scored_positions(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stream positions of all scored tokens, in order, int64 (number scored,)."""
    return _ranges(windows[:, 0] + 1, windows[:, 1])


def window_starts(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each scored token the stream position where its window starts, int64."""
    return np.repeat(windows[:, 0], windows[:, 1] - windows[:, 0] - 1)


def _ranges(starts: NDArray[Any], stops: NDArray[Any]) -> NDArray[np.int64]:
    lengths = stops - starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: NDArray[np.int64] = np.arange(total) + np.repeat(starts - ends + lengths, lengths)
    return positions
