"""The rows of a token too frequent for the memory bound, counted by several scans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.cooc.budget import BYTES_PER_OCCURRENCE, token_ranges
from structinit_core.cooc.dense import follower_sums, last_sums, middle_keys, middle_sums
from structinit_core.cooc.trigrams import run_lengths

_BYTES_PER_SUM = 8
_BYTES_PER_ENTRY = 24
"""A row taken out of its sums: columns, counts, and the counts as they are written."""
LEAST_BYTES_PER_TOKEN = _BYTES_PER_SUM + _BYTES_PER_ENTRY
"""With less memory than this times V not even one offset can be counted."""


def follower_row(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    token: int,
    vocabulary: int,
    offsets: int,
    memory_bytes: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The row of ``token`` at each offset 1 … K: columns, ascending, and their counts.

    Cost: a scan of the stream for as many offsets as the memory holds sums of, at least one;
    time O(T) a scan and O(K) an occurrence. Source: ours.
    """
    free = memory_bytes - _BYTES_PER_ENTRY * vocabulary
    together = max(1, free // (_BYTES_PER_SUM * vocabulary))
    for first in range(1, offsets + 1, together):
        last = min(first + together, offsets + 1)
        for sums in follower_sums(ids, spans, token, first, last, vocabulary):
            columns = np.flatnonzero(sums)
            yield columns, sums[columns]


def trigram_runs(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    token: int,
    vocabulary: int,
    bits: int,
    memory_bytes: int,
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Packed keys of the trigrams that begin with ``token``, ascending, and their counts.

    They come in ranges of the second token whose trigrams fit the memory; of a pair that
    does not fit alone, the third tokens are summed over the vocabulary.
    Cost: one scan of the stream per range, so O(T·n / memory) for n occurrences; memory
    ``memory_bytes`` plus O(V). Source: ours.
    """
    budget = memory_bytes // BYTES_PER_OCCURRENCE
    occurrences = middle_sums(ids, spans, token, vocabulary)
    for low, high in token_ranges(occurrences, budget):
        size = int(occurrences[low:high].sum())
        if size > budget:
            sums = last_sums(ids, spans, token, low, vocabulary)
            thirds = np.flatnonzero(sums)
            pair = np.uint64((token << bits | low) << bits)
            yield pair | thirds.astype(np.uint64), sums[thirds]
        elif size:
            yield run_lengths(np.sort(middle_keys(ids, spans, token, low, high, size, bits)))
