"""Interpolated Kneser-Ney: the n-gram references, and the bigram as sparse log-ratio.

Absolute discounting with one discount D = n₁/(n₁+2n₂) per order, lower orders on
continuation counts (Kneser & Ney 1995, interpolated as in Chen & Goodman 1999, eq. 24-27);
the last back-off is uniform.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.cooc.counts import Counts
from structinit_core.cooc.prune import Loss
from structinit_core.cooc.trigrams import run_lengths

_FALLBACK_DISCOUNT = 0.75

Floats = NDArray[np.float64]


def discount(counts: NDArray[Any], whole: Loss | None = None) -> float:
    """n₁/(n₁+2n₂) of these positive counts; 0.75 where that is 0 or 1 and so degenerate.

    Of pruned counts those of the ``whole`` table are taken.
    """
    if whole is None:
        once, twice = int(np.count_nonzero(counts == 1)), int(np.count_nonzero(counts == 2))
    else:
        once, twice = whole.once, whole.twice
    return once / (once + 2 * twice) if once and twice else _FALLBACK_DISCOUNT


def smoothed_unigram(counts: NDArray[Any]) -> Floats:
    """Discounted counts interpolated with the uniform distribution: positive, sums to 1.

    Uniform where nothing was counted.
    """
    total, kinds = float(counts.sum()), int(np.count_nonzero(counts))
    if total == 0:
        return np.full(len(counts), 1 / len(counts))
    by = discount(counts)
    kept: Floats = np.maximum(counts - by, 0.0)
    return (kept + by * kinds / len(counts)) / total


@dataclass(frozen=True)
class ConditionalTable:
    """One smoothed order: ascending keys of (context, next), and each context's totals.

    P(next | context) = ((c − D)₊ + D·N₊(context)·lower(next)) / total(context); contexts that
    were never seen give the lower order itself. ``contexts`` are ascending unique ids.
    """

    keys: NDArray[Any]
    counts: NDArray[Any]
    contexts: NDArray[Any]
    totals: Floats
    kinds: Floats
    discount: float

    def probability(self, contexts: NDArray[Any], keys: NDArray[Any], lower: Floats) -> Floats:
        """P of each query from its context id, its full key and its lower-order P: (n,)."""
        if len(self.contexts) == 0:
            return lower
        slot, seen = _find(self.contexts, contexts)
        entry, known = _find(self.keys, keys)
        found = np.zeros(len(keys))
        found[known] = self.counts[entry[known]]
        direct = np.maximum(found - self.discount, 0.0)
        mixed = (direct + self.discount * self.kinds[slot] * lower) / self.totals[slot]
        result: Floats = np.where(seen, mixed, lower)
        return result


class KneserNey:
    """KN-2 and KN-3 of a counts artifact, counted on its counting text only.

    Of pruned counts, what was dropped goes to the lower order: rows keep their totals, and N₊
    is raised by the dropped occurrences over D, so every formula holds. Continuation counts
    are those of the kept entries.
    Memory: KN-2 8 bytes a bigram; KN-3, built on first use, 40 bytes a distinct trigram.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.bigrams = counts.offsets[0]
        self.vocabulary = counts.vocabulary
        self.unigram = smoothed_unigram(counts.unigram)
        """P(b) by frequency, float64 (V,): the unigram reference."""
        self.continuation = smoothed_unigram(
            np.bincount(self.bigrams.indices, minlength=self.vocabulary)
        )
        """p_kn(b) by the number of distinct left neighbours, float64 (V,)."""
        self.discount = discount(self.bigrams.data, self._whole("offset1"))
        self.totals: Floats = np.asarray(self.bigrams.sum(axis=1), dtype=np.float64).ravel()
        self.totals += counts.dropped
        """c_a: how often token a has a follower, float64 (V,)."""
        self.kinds: Floats = np.diff(self.bigrams.indptr) + counts.dropped / self.discount
        """N₊(a): how many distinct followers token a has, float64 (V,)."""

    @property
    def backoff(self) -> Floats:
        """λ_a = D·N₊(a)/c_a, the weight of p_kn in row a; 1 for a row without counts."""
        rows: Floats = np.where(
            self.totals > 0, self.discount * self.kinds / np.maximum(self.totals, 1), 1.0
        )
        return rows

    def direct(self) -> sp.csr_array:
        """(c_ab − D)₊/c_a, so that P(b|a) = direct_ab + λ_a·p_kn(b): CSR float64 (V, V)."""
        rows = np.repeat(np.arange(self.vocabulary), np.diff(self.bigrams.indptr))
        values = (self.bigrams.data - self.discount) / self.totals[rows]
        return self._like_bigrams(values)

    def log_ratio(self) -> sp.csr_array:
        """S_ab = log(1 + (c_ab − D)₊/(D·N₊(a)·p_kn(b))) ≥ 0, CSR float64 (V, V).

        softmax_b(log p_kn(b) + S_ab) is the interpolated KN bigram exactly. Source: ours.
        """
        rows = np.repeat(np.arange(self.vocabulary), np.diff(self.bigrams.indptr))
        lower = self.discount * self.kinds[rows] * self.continuation[self.bigrams.indices]
        return self._like_bigrams(np.log1p((self.bigrams.data - self.discount) / lower))

    def bigram_probability(self, first: NDArray[Any], second: NDArray[Any]) -> Floats:
        """KN-2 P(second | first), float64 (n,)."""
        first, second = first.astype(np.int64), second.astype(np.int64)
        return self._bigram_table.probability(
            first, first * self.vocabulary + second, self.continuation[second]
        )

    def trigram_probability(
        self, first: NDArray[Any], second: NDArray[Any], third: NDArray[Any]
    ) -> Floats:
        """KN-3 P(third | first, second), float64 (n,)."""
        bits = np.uint64(self.counts.bits)
        a, b, c = (x.astype(np.uint64) for x in (first, second, third))
        middle_key, context = (b << bits) | c, (a << bits) | b
        middle = self.middle_table.probability(b, middle_key, self.continuation[third])
        return self.trigram_table.probability(context, (context << bits) | c, middle)

    def _whole(self, name: str) -> Loss | None:
        return self.counts.pruned.tables.get(name) if self.counts.pruned else None

    def _like_bigrams(self, values: Floats) -> sp.csr_array:
        return sp.csr_array(
            (values, self.bigrams.indices, self.bigrams.indptr), shape=self.bigrams.shape
        )

    @cached_property
    def _bigram_table(self) -> ConditionalTable:
        seen = np.flatnonzero(self.totals)
        rows = np.repeat(np.arange(self.vocabulary), np.diff(self.bigrams.indptr))
        return ConditionalTable(
            rows * self.vocabulary + self.bigrams.indices,
            self.bigrams.data,
            seen,
            self.totals[seen],
            self.kinds[seen],
            self.discount,
        )

    @cached_property
    def trigram_table(self) -> ConditionalTable:
        """Trigrams (a, b, c) by their counts, before they are interpolated."""
        counts = self.counts
        table = _table(
            counts.trigram_keys, counts.trigram_counts, counts.bits, self._whole("trigram")
        )
        if counts.pruned is None or len(table.contexts) == 0:
            return table
        # what a kept pair has beyond its kept trigrams was dropped, or stood at a border
        bits = np.uint64(counts.bits)
        first, second = table.contexts >> bits, table.contexts & ((np.uint64(1) << bits) - 1)
        pairs = self._bigram_table
        entry, known = _find(pairs.keys, (first * self.vocabulary + second).astype(np.int64))
        totals = np.maximum(table.totals, np.where(known, pairs.counts[entry], 0))
        kinds = table.kinds + (totals - table.totals) / table.discount
        return replace(table, totals=totals, kinds=kinds)

    @cached_property
    def middle_table(self) -> ConditionalTable:
        """Bigrams (b, c) by how many distinct tokens stand before them."""
        mask = np.uint64((1 << 2 * self.counts.bits) - 1)
        return _table(*run_lengths(np.sort(self.counts.trigram_keys & mask)), self.counts.bits)


def _table(
    keys: NDArray[Any], counts: NDArray[Any], bits: int, whole: Loss | None = None
) -> ConditionalTable:
    contexts, kinds = run_lengths(keys >> np.uint64(bits))
    starts = np.concatenate(([0], np.cumsum(kinds)[:-1])).astype(np.int64)
    totals = np.add.reduceat(counts.astype(np.float64), starts) if len(keys) else np.zeros(0)
    return ConditionalTable(
        keys, counts, contexts, totals, kinds.astype(np.float64), discount(counts, whole)
    )


def _find(ordered: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Index of each wanted value in an ascending array (0 where absent), and whether it is."""
    if len(ordered) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    slot = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    found = ordered[slot] == wanted
    return np.where(found, slot, 0), found
