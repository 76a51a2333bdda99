"""Counts as sparse matrices in memory: directed by offset, or one symmetric window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from math import lcm
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.artifact import index_dtype
from structinit_core.cooc.count import checked_reach
from structinit_core.cooc.facts import MAX_OFFSETS
from structinit_core.cooc.grouping import Group, Reach, blocks, groups
from structinit_core.corpus import TokenStream
from structinit_core.errors import LimitError

Piece = tuple[int, NDArray[np.int64], NDArray[Any], NDArray[Any]]


class Distance(Enum):
    """How a pair is weighted by its distance k: not at all, or 1/k."""

    FLAT = "flat"
    HARMONIC = "harmonic"


def directed_counts(
    stream: TokenStream,
    spans: NDArray[np.int64],
    vocabulary: int,
    *,
    offsets: int,
    memory_bytes: int,
) -> list[sp.csr_array]:
    """One CSR (V, V) an offset 1 … K: entry (a, b) is how often b stands k tokens after a.

    The tables of :func:`structinit_core.cooc.count_stream`, exact, uint32 or uint64, columns
    ascending. ``memory_bytes`` bounds the work beside the results, but for a token that
    occurs more often than fits. Cost: some 4 ns a token and offset on a core. Errors as
    there. Source: ours.
    """
    reach = checked_reach(stream, _total(spans), vocabulary, 0, offsets)
    once = np.ones(1, reach.counts)
    pieces: list[list[Piece]] = [[] for _ in range(offsets)]
    for group in _groups(stream, spans, reach, 1, memory_bytes):
        for offset, kept in enumerate(pieces):
            kept.append(_joined(group.rows(offset, once)))
    return [_csr(kept, reach) for kept in pieces]


def window_counts(
    stream: TokenStream,
    spans: NDArray[np.int64],
    vocabulary: int,
    *,
    window: int,
    distance: Distance = Distance.HARMONIC,
    memory_bytes: int,
) -> sp.csr_array:
    """The symmetric counts of pairs at most ``window`` tokens apart, as GloVe counts them.

    CSR (V, V), columns ascending. Entry (a, b) sums over every pair of an a and a b in one
    span, either first, 1 or 1/distance; a pair of equal tokens counts twice. Flat counts are
    exact integers, uint32 or uint64; harmonic ones are float64, rounded from an exact sum of
    multiples of 1/lcm(1 … window), so neither order nor blocks show. It equals
    :func:`window_view` of the counts artifact, if nothing was pruned, without its tables.
    Memory as of :func:`directed_counts`; cost: some 4 ns a token and neighbour on a core.
    Source: the weights are GloVe's (Pennington et al. 2014, 4.2); ours.

    Raises:
        LimitError: a window outside 1 … 255, or so wide that exact sums do not fit 64 bits;
            V > 2²¹.
        IncompatibleError: a token ≥ V.
    """
    _check_window(window)
    total = _total(spans)
    checked_reach(stream, total, vocabulary, window, window)
    weights, unit = _weights(window, distance)
    sums = _sum_dtype(2 * total * sum(weights))
    reach = Reach(vocabulary, window, window, sums)
    around = np.array([*reversed(weights), *weights], sums)
    gathered = _groups(stream, spans, reach, len(around), memory_bytes)
    pieces = [_joined(group.rows(0, around)) for group in gathered]
    return _over(_csr(pieces, reach), unit)


def window_view(
    offsets: Iterable[sp.csr_array], window: int, distance: Distance = Distance.HARMONIC
) -> sp.csr_array:
    """:func:`window_counts` from the tables of a counts artifact: Σ_k w_k·(C_k + C_kᵀ).

    Raises:
        LimitError: a window outside 1 … 255, or of more offsets than were counted; sums
            beyond 64 bits.
    """
    tables = list(offsets)
    _check_window(window)
    if window > len(tables):
        raise LimitError(
            f"a window of {window} needs as many offsets, and {len(tables)} were counted",
            hint="count again with --offsets",
        )
    weights, unit = _weights(window, distance)
    tables = tables[:window]
    sums = [int(table.data.sum(dtype=np.uint64)) for table in tables]
    dtype = _sum_dtype(2 * sum(w * s for w, s in zip(weights, sums, strict=True)))
    both = sp.csr_array(tables[0].shape, dtype=dtype)
    for table, weight in zip(tables, weights, strict=True):
        both += sp.csr_array(
            (table.data.astype(dtype) * dtype.type(weight), table.indices, table.indptr),
            shape=table.shape,
        )
    both = sp.csr_array(both + both.T)
    both.sort_indices()
    return _over(both, unit)


def _check_window(window: int) -> None:
    if not 1 <= window <= MAX_OFFSETS:
        raise LimitError(f"a window must lie between 1 and {MAX_OFFSETS}, not {window}")


def _weights(window: int, distance: Distance) -> tuple[list[int], int]:
    """The weight of each distance 1 … window as an integer number of units of 1/``unit``."""
    if distance is Distance.FLAT:
        return [1] * window, 1
    unit = lcm(*range(1, window + 1))
    return [unit // k for k in range(1, window + 1)], unit


def _sum_dtype(largest: int) -> np.dtype[Any]:
    if largest >= 1 << 64:
        raise LimitError("sums over so wide a window do not fit 64 bits", hint="narrow the window")
    return np.dtype(np.uint32 if largest < 1 << 32 else np.uint64)


def _over(sums: sp.csr_array, unit: int) -> sp.csr_array:
    if unit == 1:
        return sums
    return sp.csr_array((sums.data / unit, sums.indices, sums.indptr), shape=sums.shape)


def _total(spans: NDArray[np.int64]) -> int:
    return int((spans[:, 1] - spans[:, 0]).sum())


def _groups(
    stream: TokenStream, spans: NDArray[np.int64], reach: Reach, entries: int, memory_bytes: int
) -> Iterator[Group]:
    """The windows of the whole stream as one block, so that every row comes once."""
    budget = max(1, memory_bytes // reach.bytes_per_window(entries))
    for block in blocks(stream.ids, spans, reach.vocabulary, max(1, _total(spans))):
        yield from groups(stream.ids, block, reach, entries, budget)


def _joined(pieces: Iterable[Piece]) -> Piece:
    """Rows that follow each other as one piece, copied once: small copies take fresh pages."""
    lows, *parts = zip(*pieces, strict=True)
    lengths, columns, counts = map(np.concatenate, parts)
    return lows[0], lengths, columns, counts


def _csr(pieces: list[Piece], reach: Reach) -> sp.csr_array:
    """Pieces of rows, all of them or none, as a matrix."""
    ends = np.zeros(reach.vocabulary + 1, np.int64)
    for low, lengths, _, _ in pieces:
        ends[low + 1 : low + 1 + len(lengths)] = lengths
    np.cumsum(ends, out=ends)
    index = index_dtype(reach.vocabulary, int(ends[-1]))
    none = 0, np.zeros(0, np.int64), np.zeros(0, index), np.zeros(0, reach.counts)
    _, _, columns, counts = pieces[0] if len(pieces) == 1 else _joined([none, *pieces])
    return sp.csr_array(
        (counts, columns.astype(index, copy=False), ends.astype(index)),
        shape=(reach.vocabulary, reach.vocabulary),
    )
