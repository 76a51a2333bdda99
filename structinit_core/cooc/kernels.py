"""Counting kernels (numba): occurrences of a range of tokens, and their followers."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unigram_counts(ids: NDArray[Any], spans: NDArray[np.int64], vocabulary: int) -> NDArray[Any]:
    """How often each token occurs inside ``spans``: int64 (V,)."""
    counts = np.zeros(vocabulary, np.int64)
    for span in range(spans.shape[0]):
        for position in range(spans[span, 0], spans[span, 1]):
            counts[ids[position]] += 1
    return counts


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def occurrences(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    low: int,
    high: int,
    starts: NDArray[np.int64],
    reach: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Positions of the tokens ``low … high-1`` grouped by token, in stream order.

    ``starts`` (high-low+1,) holds where each token's group begins. Also returned, as uint8,
    how many tokens follow a position inside its span, at most ``reach`` (≤ 255).
    """
    positions = np.empty(starts[-1], np.int64)
    followers = np.empty(starts[-1], np.uint8)
    fill = starts[:-1].copy()
    for span in range(spans.shape[0]):
        stop = spans[span, 1]
        for position in range(spans[span, 0], stop):
            token = ids[position]
            if low <= token < high:
                slot = fill[token - low]
                fill[token - low] = slot + 1
                positions[slot] = position
                followers[slot] = min(reach, stop - 1 - position)
    return positions, followers


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def follower_rows(
    ids: NDArray[Any],
    positions: NDArray[np.int64],
    followers: NDArray[np.uint8],
    starts: NDArray[np.int64],
    offset: int,
    vocabulary: int,
    chunks: int,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sorted rows of counts of the tokens ``offset`` after each position.

    Returned are the row lengths (rows,), and columns int32 and counts int64 of all rows, one
    after the other, columns ascending in a row. Rows are shared out in ``chunks``; each row
    is summed by one thread, so the result depends on neither chunks nor threads.
    """
    rows = starts.shape[0] - 1
    lengths = np.zeros(rows, np.int64)
    columns = np.empty(positions.shape[0], np.int32)
    counts = np.empty(positions.shape[0], np.int64)
    for chunk in nb.prange(chunks):
        total = np.zeros(vocabulary, np.int64)
        touched = np.empty(vocabulary, np.int32)
        first = np.searchsorted(starts, positions.shape[0] * chunk // chunks)
        last = np.searchsorted(starts, positions.shape[0] * (chunk + 1) // chunks)
        if chunk == chunks - 1:
            last = rows
        for row in range(first, last):
            distinct = 0
            for slot in range(starts[row], starts[row + 1]):
                if followers[slot] >= offset:
                    column = ids[positions[slot] + offset]
                    if total[column] == 0:
                        touched[distinct] = column
                        distinct += 1
                    total[column] += 1
            ordered = np.sort(touched[:distinct])
            base = starts[row]
            for index in range(distinct):
                column = ordered[index]
                columns[base + index] = column
                counts[base + index] = total[column]
                total[column] = 0
            lengths[row] = distinct
    kept = 0
    for row in range(rows):
        base = starts[row]
        for index in range(lengths[row]):
            columns[kept] = columns[base + index]
            counts[kept] = counts[base + index]
            kept += 1
    return lengths, columns[:kept], counts[:kept]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def trigram_keys(
    ids: NDArray[Any],
    positions: NDArray[np.int64],
    followers: NDArray[np.uint8],
    bits: int,
) -> NDArray[Any]:
    """Packed keys ``a << 2·bits | b << bits | c`` of all trigrams from ``positions``, uint64."""
    keys = np.empty(positions.shape[0], np.uint64)
    kept = 0
    shift = np.uint64(bits)
    for slot in range(positions.shape[0]):
        if followers[slot] >= 2:
            position = positions[slot]
            key = np.uint64(ids[position])
            key = (key << shift) | np.uint64(ids[position + 1])
            keys[kept] = (key << shift) | np.uint64(ids[position + 2])
            kept += 1
    return keys[:kept]
