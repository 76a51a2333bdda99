"""Exact counts of a token stream, written row range by row range within a memory bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import ArrayWriter, index_dtype, save_array
from structinit_core.cooc.kernels import (
    follower_rows,
    occurrences,
    trigram_keys,
    unigram_counts,
)
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError, InputError, LimitError
from structinit_core.progress import Progress, Silent

MAX_OFFSETS = 255
_CHUNKS_PER_THREAD = 8
_BYTES_PER_OCCURRENCE = 64
"""Peak of one row range: positions, one offset's rows, sorted trigram keys and their runs."""


def count_stream(
    stream: TokenStream,
    spans: NDArray[np.int64],
    vocabulary: int,
    directory: Path,
    *,
    offsets: int,
    memory_bytes: int,
    progress: Progress | None = None,
) -> None:
    """Write unigram counts, one CSR per offset 1 … K and sorted trigrams of ``spans``.

    Files: ``unigram.npy`` int64 (V,); ``offset{k}.{indptr,indices,data}.npy``, entry (a, b)
    being how often b stands k tokens after a in one span; ``trigram.keys.npy`` (packed
    uint64, ascending) and ``trigram.counts.npy``. Counts are uint32, or uint64 from 2³²
    tokens. Bytes depend on the tokens only, not on memory, threads or row ranges.
    Cost: one scan of the stream per row range, O(K·T) counting; memory ``memory_bytes`` plus
    O(V) per thread. Source: ours.

    Raises:
        LimitError: a single token's occurrences exceed the memory, or V > 2²¹ (packed keys).
        InputError: no token inside the spans. IncompatibleError: a token ≥ V.
    """
    progress = progress or Silent()
    if not 1 <= offsets <= MAX_OFFSETS:
        raise LimitError(f"offsets must lie between 1 and {MAX_OFFSETS}, not {offsets}")
    bits = key_bits(vocabulary)
    if len(stream.ids) and int(stream.ids.max()) >= vocabulary:
        raise IncompatibleError(
            f"token {int(stream.ids.max())} is not in a vocabulary of {vocabulary}"
        )
    unigram = unigram_counts(stream.ids, spans, vocabulary)
    total = int(unigram.sum())
    if total == 0:
        raise InputError("no token is left to count")
    save_array(directory / "unigram.npy", unigram)
    width = np.uint32 if total < 2**32 else np.uint64
    index = index_dtype(vocabulary, total)
    chunks = numba.get_num_threads() * _CHUNKS_PER_THREAD
    row_lengths = [np.zeros(vocabulary, np.int64) for _ in range(offsets)]
    with ExitStack() as stack:

        def writer(name: str, dtype: Any) -> ArrayWriter:
            return stack.enter_context(ArrayWriter(directory / name, dtype))

        columns = [writer(f"offset{k}.indices.npy", index) for k in range(1, offsets + 1)]
        counts = [writer(f"offset{k}.data.npy", width) for k in range(1, offsets + 1)]
        keys = writer("trigram.keys.npy", np.uint64)
        key_counts = writer("trigram.counts.npy", width)
        for low, high in _row_ranges(unigram, memory_bytes // _BYTES_PER_OCCURRENCE):
            starts = np.concatenate(([0], np.cumsum(unigram[low:high])))
            positions, followers = occurrences(
                stream.ids, spans, low, high, starts, max(offsets, 2)
            )
            for k in range(1, offsets + 1):
                lengths, row_columns, row_counts = follower_rows(
                    stream.ids, positions, followers, starts, k, vocabulary, chunks
                )
                row_lengths[k - 1][low:high] = lengths
                columns[k - 1].append(row_columns)
                counts[k - 1].append(row_counts)
            packed, packed_counts = run_lengths(
                np.sort(trigram_keys(stream.ids, positions, followers, bits))
            )
            keys.append(packed)
            key_counts.append(packed_counts)
            progress.advance(int(starts[-1]))
    for k, lengths in enumerate(row_lengths, start=1):
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(index)
        save_array(directory / f"offset{k}.indptr.npy", indptr)


def key_bits(vocabulary: int) -> int:
    """Bits of one token in a packed trigram key.

    Raises:
        LimitError: three of them do not fit 64 bits.
    """
    bits = max(1, (vocabulary - 1).bit_length())
    if 3 * bits > 64:
        raise LimitError(f"trigram keys hold vocabularies up to {1 << 21}, not {vocabulary}")
    return bits


def run_lengths(ordered: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The distinct values of an ascending array and how often each occurs."""
    if len(ordered) == 0:
        return ordered, np.zeros(0, np.int64)
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[first], np.diff(np.append(first, len(ordered)))


def _row_ranges(unigram: NDArray[np.int64], budget: int) -> Iterator[tuple[int, int]]:
    """Ranges of tokens whose occurrences fit the budget together."""
    if int(unigram.max()) > budget:
        needed = int(unigram.max()) * _BYTES_PER_OCCURRENCE
        raise LimitError(
            f"the most frequent token alone needs {needed >> 20} MiB to be counted",
            hint="raise --memory",
        )
    ends = np.cumsum(unigram)
    low = 0
    while low < len(unigram):
        done = int(ends[low - 1]) if low else 0
        high = int(np.searchsorted(ends, done + budget, side="right"))
        yield low, high
        low = high
