"""Counting kernels (numba): windows grouped by token, and their distinct neighbours in order.

No pair is ever sorted by comparison: a row's neighbours are summed in an array over the
vocabulary, and come out in order by a bitmap of it.
"""

# ruff: noqa: ARG001 (numba calls intrinsics with a signature of its own)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]

CHUNKS_PER_THREAD = 8
_FEW = 40
"""So many numbers are ordered fastest by insertion."""
_SPARSE = 16
"""A bitmap of more than so many words a number is slower than sorting."""


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def token_counts(ids: Array, pieces: Ints, shares: Ints, vocabulary: int) -> Ints:
    """How often each token begins a window, by share: int64 (shares, V)."""
    counts = np.zeros((shares.shape[0] - 1, vocabulary), np.int64)
    for share in nb.prange(shares.shape[0] - 1):
        for piece in range(shares[share], shares[share + 1]):
            for position in range(pieces[piece, 0], pieces[piece, 1]):
                counts[share, ids[position]] += 1
    return counts


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def gather_windows(
    ids: Array, pieces: Ints, shares: Ints, fill: Ints, low: int, before: int, windows: Array
) -> None:
    """Write the neighbours of every position to ``windows``, grouped by the token there.

    Of the tokens from ``low`` on as many as ``fill`` (shares, tokens) has columns: the next
    row of ``windows`` (n, reach) each share of each token has, which moves on. A row holds the
    ``before`` tokens before the position, then those after it; the largest value of the type
    where the span has none. The next window of a group is behind the last, so rows are
    written along as many lines as there are tokens, and read in order ever after.
    """
    none = windows.dtype.type(np.iinfo(windows.dtype).max)
    reach, tokens = windows.shape[1], fill.shape[1]
    after = reach - before
    for share in nb.prange(shares.shape[0] - 1):
        for piece in range(shares[share], shares[share + 1]):
            start, stop = pieces[piece, 2], pieces[piece, 3]
            for position in range(pieces[piece, 0], pieces[piece, 1]):
                token = np.int64(ids[position]) - low
                if 0 <= token < tokens:
                    row = fill[share, token]
                    fill[share, token] = row + 1
                    first = position - before
                    if first >= start and position + after < stop:
                        for at in range(before):
                            windows[row, at] = ids[first + at]
                        for at in range(before, reach):
                            windows[row, at] = ids[first + at + 1]
                    else:
                        for at in range(reach):
                            near = first + at + (at >= before)
                            windows[row, at] = ids[near] if start <= near < stop else none


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def count_rows(
    windows: Array,
    starts: Ints,
    chunks: Ints,
    first: int,
    weights: Array,
    vocabulary: int,
    columns: Array,
    counts: Array,
    lengths: Ints,
) -> None:
    """Sorted rows of the weighted neighbours in the columns from ``first`` of each window.

    ``starts`` (rows + 1,): where each row's windows begin. Rows are shared out in ``chunks``
    (n + 1,), row numbers; a chunk's entries are written one after the other from
    ``starts[chunks[i]] · len(weights)`` of ``columns`` and ``counts``, the row's lengths to
    ``lengths``. A row is summed by one thread, in integers of the type of ``counts``.
    """
    reach = weights.shape[0]
    for turn in nb.prange(chunks.shape[0] - 1):
        chunk = _dealt(turn, chunks.shape[0] - 1)
        total = np.zeros(vocabulary + 1, counts.dtype)
        seen = np.empty(vocabulary + 2, np.int32)
        bits = np.zeros((vocabulary >> 6) + 1, np.uint64)
        at = starts[chunks[chunk]] * reach
        for row in range(chunks[chunk], chunks[chunk + 1]):
            distinct = 0
            for slot in range(starts[row], starts[row + 1]):
                for column in range(reach):
                    token = np.minimum(np.int64(windows[slot, first + column]), vocabulary)
                    seen[distinct] = token
                    distinct += total[token] == 0
                    total[token] += weights[column]
            distinct = _ascending(seen, distinct, vocabulary, total, bits)
            for index in range(distinct):
                token = seen[index]
                columns[at] = token
                counts[at] = total[token]
                total[token] = 0
                at += 1
            lengths[row] = distinct


@nb.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def count_trigrams(
    windows: Array,
    starts: Ints,
    chunks: Ints,
    low: int,
    bits_per_token: int,
    vocabulary: int,
    keys: Array,
    counts: Array,
    lengths: Ints,
) -> None:
    """Ascending packed trigrams of each chunk's rows, the first of which is token ``low``.

    The first two columns of ``windows`` are the tokens after. A chunk's trigrams begin at
    ``starts[chunks[i]]`` of ``keys`` (uint64) and ``counts``; their number is ``lengths[i]``.
    Windows of a row are brought into the order of their second token, and the thirds of each
    second are counted as :func:`count_rows` counts a row.
    """
    shift = np.uint64(bits_per_token)
    for turn in nb.prange(chunks.shape[0] - 1):
        chunk = _dealt(turn, chunks.shape[0] - 1)
        begin, end = chunks[chunk], chunks[chunk + 1]
        largest = 0
        for row in range(begin, end):
            largest = max(largest, starts[row + 1] - starts[row])
        total, ends = np.zeros(vocabulary + 1, counts.dtype), np.zeros(vocabulary + 1, np.int64)
        seen, seconds = np.empty(vocabulary + 2, np.int32), np.empty(vocabulary + 2, np.int32)
        bits = np.zeros((vocabulary >> 6) + 1, np.uint64)
        thirds = np.empty(largest, windows.dtype)
        at = starts[begin]
        for row in range(begin, end):
            distinct = 0
            for slot in range(starts[row], starts[row + 1]):
                if windows[slot, 1] < vocabulary:
                    second = np.int64(windows[slot, 0])
                    seconds[distinct] = second
                    distinct += ends[second] == 0
                    ends[second] += 1
            distinct = _ascending(seconds, distinct, vocabulary, ends, bits)
            place = 0
            for index in range(distinct):
                size = ends[seconds[index]]
                ends[seconds[index]] = place
                place += size
            for slot in range(starts[row], starts[row + 1]):
                if windows[slot, 1] < vocabulary:
                    second = np.int64(windows[slot, 0])
                    thirds[ends[second]] = windows[slot, 1]
                    ends[second] += 1
            place = 0
            for index in range(distinct):
                second = seconds[index]
                pair = ((np.uint64(low + row) << shift) | np.uint64(second)) << shift
                different = 0
                for slot in range(place, ends[second]):
                    third = np.int64(thirds[slot])
                    seen[different] = third
                    different += total[third] == 0
                    total[third] += counts.dtype.type(1)
                place, ends[second] = ends[second], 0
                different = _ascending(seen, different, vocabulary, total, bits)
                for each in range(different):
                    third = seen[each]
                    keys[at] = pair | np.uint64(third)
                    counts[at] = total[third]
                    total[third] = 0
                    at += 1
        lengths[chunk] = at - starts[begin]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dealt(turn: int, chunks: int) -> int:
    """The chunk whose turn it is: a thread has consecutive turns, and not consecutive chunks.

    Rows of rare tokens are dearer than those of frequent ones, which come first.
    """
    each = min(chunks, CHUNKS_PER_THREAD)
    return turn % each * (chunks // each) + turn // each


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ascending(seen: Array, distinct: int, none: int, total: Array, bits: Array) -> int:
    """Bring the first ``distinct`` of ``seen`` into order; ``none``, the largest, is dropped."""
    if total[none] > 0:
        total[none] = 0
        at = 0
        while seen[at] != none:
            at += 1
        distinct -= 1
        seen[at] = seen[distinct]
    if distinct <= _FEW:
        for index in range(1, distinct):
            value, at = seen[index], index - 1
            while at >= 0 and seen[at] > value:
                seen[at + 1] = seen[at]
                at -= 1
            seen[at + 1] = value
    elif bits.shape[0] > _SPARSE * distinct:
        seen[:distinct] = np.sort(seen[:distinct])
    else:
        for index in range(distinct):
            value = seen[index]
            bits[value >> 6] |= np.uint64(1) << np.uint64(value & 63)
        at = 0
        for word in range(bits.shape[0]):
            left = bits[word]
            bits[word] = 0
            while left:
                seen[at] = (word << 6) + _trailing_zeros(left)
                left &= left - np.uint64(1)
                at += 1
    return distinct


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(typing: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """How many low bits of a word other than 0 are not set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
