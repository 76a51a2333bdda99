"""The windows of a token stream, grouped by the token they belong to, a bounded number at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from structinit_core.cooc.budget import token_ranges
from structinit_core.cooc.kernels import (
    CHUNKS_PER_THREAD,
    count_rows,
    count_trigrams,
    gather_windows,
    token_counts,
)
from structinit_core.cooc.tables import count_dtype
from structinit_core.cooc.trigrams import key_bits

SCANS = 8
"""Scans of one block: each costs a hundredth of counting what it finds."""

Array = NDArray[Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Reach:
    """How a window is laid out, and what it takes: neighbours before and after, and integers.

    ``counts``: the type in which neighbours are summed, uint32 or uint64.
    """

    vocabulary: int
    before: int
    after: int
    counts: np.dtype[Any]

    @property
    def width(self) -> np.dtype[Any]:
        """The type of a neighbour; its largest value says that there is none."""
        return np.dtype(np.uint16 if self.vocabulary < 1 << 16 else np.uint32)

    def bytes_per_window(self, entries: int) -> int:
        """Peak of one position: its window, ``entries`` of a row, a trigram and its third."""
        window = (max(2, self.before + self.after) + 1) * self.width.itemsize
        return window + entries * (4 + self.counts.itemsize) + 8


def bytes_per_window(vocabulary: int, offsets: int, tokens: int) -> int:
    """What every token takes that is counted at once, of so many tokens in all."""
    return Reach(vocabulary, 0, offsets, count_dtype(tokens)).bytes_per_window(1)


@dataclass(frozen=True)
class Block:
    """A part of the stream that is counted together.

    pieces: int64 (n, 4), the positions ``first … last−1`` that begin windows here and the
    span ``start … stop−1`` that their windows may see. shares: places among the pieces, one
    share a thread. tokens: int64 (shares, V), how often each token stands in a share.
    """

    pieces: Ints
    shares: Ints
    tokens: Ints


def blocks(ids: Array, spans: Ints, vocabulary: int, budget: int) -> Iterator[Block]:
    """The stream in blocks, in each of which no token occurs more than ``budget`` times.

    A block is scanned about eight times, at most seventeen; a text where no token is frequent
    beyond measure gives one block for every 8·``budget`` tokens, one without a token none.
    Spans are cut where it suits, for windows see beyond the cut. Cost: one scan of the
    stream, a few where a block must be halved.
    """
    filled = spans[spans[:, 1] > spans[:, 0]]
    total = int((filled[:, 1] - filled[:, 0]).sum())
    pieces = np.concatenate((filled, filled), axis=1)
    for part in _cut(pieces, -(-total // (SCANS * budget))):
        yield from _feasible(ids, part, vocabulary, budget)


def groups(ids: Array, block: Block, reach: Reach, entries: int, budget: int) -> Iterator[Group]:
    """The windows of a block by ranges of tokens, all tokens in order, ``budget`` at once.

    A group is overwritten by the next one. ``entries`` is the most columns of a window that
    a row is ever summed of.
    """
    occurrences = block.tokens.sum(axis=0)
    ranges = list(token_ranges(occurrences, budget))
    most = max(int(occurrences[low:high].sum()) for low, high in ranges)
    windows = np.empty((most, max(2, reach.before + reach.after)), reach.width)
    buffers = Buffers(
        np.empty(most * entries, np.int32),
        np.empty(most * entries, reach.counts),
        np.empty(most, np.uint64),
    )
    for low, high in ranges:
        starts = np.concatenate(([0], np.cumsum(occurrences[low:high])))
        earlier = np.cumsum(block.tokens[:, low:high], axis=0) - block.tokens[:, low:high]
        fill = earlier + starts[:-1]
        taken = windows[: starts[-1]]
        gather_windows(ids, block.pieces, block.shares, fill, low, reach.before, taken)
        yield Group(low, starts, taken, reach, buffers)


@dataclass(frozen=True)
class Buffers:
    """Memory that every group and offset uses again: fresh pages are dear."""

    columns: NDArray[np.int32]
    counts: Array
    keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Group:
    """The windows of the tokens from ``low`` on: those of the i-th at ``starts[i] …``."""

    low: int
    starts: Ints
    windows: Array
    reach: Reach
    buffers: Buffers

    def rows(self, first: int, weights: Array) -> Iterator[tuple[int, Ints, Array, Array]]:
        """Sorted rows of sums of neighbours, those in column ``first`` + i ``weights[i]`` times.

        First token, row lengths, columns and counts of some rows, all in order; overwritten
        by the next call. ``weights`` are of the reach's type of counts.
        """
        chunks = self._chunks()
        columns, counts = self.buffers.columns, self.buffers.counts
        lengths = np.empty(len(self.starts) - 1, np.int64)
        vocabulary = self.reach.vocabulary
        count_rows(
            self.windows, self.starts, chunks, first, weights, vocabulary, columns, counts, lengths
        )
        for begin, end in pairwise(chunks.tolist()):
            at = int(self.starts[begin]) * len(weights)
            stop = at + int(lengths[begin:end].sum())
            yield self.low + begin, lengths[begin:end], columns[at:stop], counts[at:stop]

    def trigrams(self) -> Iterator[tuple[NDArray[np.uint64], Array]]:
        """Packed trigrams and their counts, ascending; overwritten by the next call."""
        chunks = self._chunks()
        keys, counts = self.buffers.keys, self.buffers.counts
        lengths = np.empty(len(chunks) - 1, np.int64)
        vocabulary = self.reach.vocabulary
        count_trigrams(
            self.windows,
            self.starts,
            chunks,
            self.low,
            key_bits(vocabulary),
            vocabulary,
            keys,
            counts,
            lengths,
        )
        for begin, length in zip(chunks[:-1].tolist(), lengths.tolist(), strict=True):
            at = int(self.starts[begin])
            yield keys[at : at + length], counts[at : at + length]

    def _chunks(self) -> Ints:
        """Rows shared out so that all chunks have about as many windows."""
        threads = numba.get_num_threads()
        number = threads * CHUNKS_PER_THREAD if threads > 1 else 1
        marks = np.linspace(0, int(self.starts[-1]), number + 1).astype(np.int64)
        chunks = np.searchsorted(self.starts, marks)
        chunks[0], chunks[-1] = 0, len(self.starts) - 1
        return chunks


def _feasible(ids: Array, pieces: Ints, vocabulary: int, budget: int) -> Iterator[Block]:
    shares = _cut(pieces, numba.get_num_threads())
    joined = np.concatenate(shares)
    bounds = np.cumsum([0, *map(len, shares)])
    tokens = token_counts(ids, joined, bounds, vocabulary)
    if int(tokens.sum(axis=0).max()) <= budget:
        yield Block(joined, bounds, tokens)
        return
    for half in _cut(pieces, 2):
        yield from _feasible(ids, half, vocabulary, budget)


def _cut(pieces: Ints, parts: int) -> list[Ints]:
    """Pieces, none of them empty, in at most so many runs of about equally many positions."""
    ends = np.cumsum(pieces[:, 1] - pieces[:, 0])
    marks = np.linspace(0, ends[-1] if len(ends) else 0, parts + 1).astype(np.int64)
    runs = []
    for low, high in pairwise(np.unique(marks).tolist()):
        first, last = np.searchsorted(ends, (low + 1, high))
        run = pieces[first : last + 1].copy()
        run[0, 0] = run[0, 1] - (ends[first] - low)
        run[-1, 1] -= ends[last] - high
        runs.append(run)
    return runs
