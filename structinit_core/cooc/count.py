"""Exact counts of a token stream, written row range by row range within a memory bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import save_array
from structinit_core.cooc.budget import BYTES_PER_OCCURRENCE, token_ranges
from structinit_core.cooc.heavy import LEAST_BYTES_PER_TOKEN, follower_row, trigram_runs
from structinit_core.cooc.kernels import (
    follower_rows,
    occurrences,
    trigram_keys,
    unigram_counts,
)
from structinit_core.cooc.tables import Tables, open_tables
from structinit_core.cooc.trigrams import key_bits, run_lengths
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError, LimitError
from structinit_core.progress import Progress, Silent

MAX_OFFSETS = 255
_CHUNKS_PER_THREAD = 8


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
    tokens; without a token inside the spans every table is empty. Bytes depend on the tokens
    only, not on memory, threads or row ranges.
    Cost: one scan of the stream per row range whose occurrences fit the memory, and O(K·T)
    counting; a token too frequent for that is counted alone, see
    :mod:`structinit_core.cooc.heavy`. So O(T / memory) scans of a corpus of any size; no
    temporary file. Memory: ``memory_bytes`` plus O(K·V), plus O(V) per thread. Source: ours.

    Raises:
        LimitError: a token that must be counted alone and no memory for sums over the
            vocabulary, 32·V bytes; or V > 2²¹ (packed keys).
        IncompatibleError: a token ≥ V.
    """
    progress = progress or Silent()
    if not 1 <= offsets <= MAX_OFFSETS:
        raise LimitError(f"offsets must lie between 1 and {MAX_OFFSETS}, not {offsets}")
    key_bits(vocabulary)
    if len(stream.ids) and int(stream.ids.max()) >= vocabulary:
        raise IncompatibleError(
            f"token {int(stream.ids.max())} is not in a vocabulary of {vocabulary}"
        )
    unigram = unigram_counts(stream.ids, spans, vocabulary)
    total = int(unigram.sum())
    budget = memory_bytes // BYTES_PER_OCCURRENCE
    if int(unigram.max()) > budget and memory_bytes < LEAST_BYTES_PER_TOKEN * vocabulary:
        raise LimitError(
            f"counting with a vocabulary of {vocabulary} needs at least "
            f"{-(-LEAST_BYTES_PER_TOKEN * vocabulary >> 10)} KiB",
            hint="raise --memory",
        )
    save_array(directory / "unigram.npy", unigram)
    with open_tables(directory, vocabulary, offsets, total) as tables:
        for low, high in token_ranges(unigram, budget):
            sizes = unigram[low:high]
            if int(sizes.sum()) > budget:
                _count_one(stream.ids, spans, low, vocabulary, offsets, memory_bytes, tables)
            else:
                _count_range(stream.ids, spans, low, sizes, vocabulary, offsets, tables)
            progress.advance(int(sizes.sum()))


def _count_range(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    low: int,
    sizes: NDArray[np.int64],
    vocabulary: int,
    offsets: int,
    tables: Tables,
) -> None:
    """All rows of the tokens from ``low``, which occur ``sizes`` times, by their positions."""
    starts = np.concatenate(([0], np.cumsum(sizes)))
    chunks = numba.get_num_threads() * _CHUNKS_PER_THREAD
    positions, followers = occurrences(ids, spans, low, low + len(sizes), starts, max(offsets, 2))
    for k in range(1, offsets + 1):
        tables.add_rows(
            k, low, *follower_rows(ids, positions, followers, starts, k, vocabulary, chunks)
        )
    keys = np.sort(trigram_keys(ids, positions, followers, key_bits(vocabulary)))
    tables.add_trigrams(*run_lengths(keys))


def _count_one(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    token: int,
    vocabulary: int,
    offsets: int,
    memory_bytes: int,
    tables: Tables,
) -> None:
    """All rows of one token whose positions do not fit the memory."""
    rows = follower_row(ids, spans, token, vocabulary, offsets, memory_bytes)
    for k, (columns, counts) in enumerate(rows, start=1):
        tables.add_rows(k, token, np.array([len(columns)]), columns, counts)
    bits = key_bits(vocabulary)
    for keys, counts in trigram_runs(ids, spans, token, vocabulary, bits, memory_bytes):
        tables.add_trigrams(keys, counts)
