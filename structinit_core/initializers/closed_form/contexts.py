"""Contexts of the offsets' fit: what stands before a token, in the text or by trigram counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.cooc import Counts
from structinit_core.corpus import TokenStream, scored_positions, window_starts

Ids = NDArray[np.int64]

_CANDIDATES = 16
"""Runs of the text looked at for each that is drawn, so that frequencies are met."""


@dataclass(frozen=True)
class TextContexts:
    """Runs of tokens x_t, x_{t-1}, … of the counted text itself, newest first.

    ``ids``: the tokens of the text; ``spans``: those that were counted, int64 (n, 2).
    """

    ids: NDArray[np.integer[Any]]
    spans: Ids

    def draw(self, size: int, length: int, generator: np.random.Generator) -> Ids:
        """``size`` runs of ``length`` tokens, newest first: int64 (size, length).

        Sixteen times as many are taken, one from each of equal stretches of the text, and
        drawn from systematically in the order of their newest token, whose frequencies are met
        closely. What begins a document is left out where something should stand before it;
        there are none where no span is so long.
        """
        begins = np.maximum(self.spans[:, 1] - self.spans[:, 0] - (length - 1), 0)
        ends = np.cumsum(begins)
        if len(ends) == 0 or ends[-1] == 0:
            return np.zeros((0, length), np.int64)
        taken = _CANDIDATES * size
        place = (np.arange(taken) + generator.random(taken)) / taken * ends[-1]
        place = np.minimum(place.astype(np.int64), ends[-1] - 1)
        span = np.searchsorted(ends, place, side="right")
        newest = self.spans[span, 0] + (length - 1) + place - (ends - begins)[span]
        first = int(generator.integers(_CANDIDATES))
        newest = newest[np.argsort(self.ids[newest], kind="stable")][first::_CANDIDATES]
        runs: Ids = self.ids[newest[:, None] - np.arange(length)].astype(np.int64)
        return runs


class Contexts:
    """Runs of tokens x_t, x_{t-1}, …, newest first, with the counted frequencies of trigrams.

    Three tokens are exactly those counted; older ones are drawn one by one given the two
    that follow them, so every three neighbours keep their frequency. Systematic in the order
    of the newest token, whose frequencies are met almost exactly. Memory: 40 bytes a distinct
    trigram.
    """

    def __init__(self, counts: Counts) -> None:
        bits = np.uint64(counts.bits)
        mask = np.uint64((1 << counts.bits) - 1)
        keys = counts.trigram_keys
        oldest, middle, newest = keys >> bits * np.uint64(2), keys >> bits & mask, keys & mask
        reversed_keys = newest << bits * np.uint64(2) | middle << bits | oldest
        order = np.argsort(reversed_keys)
        self.bits = bits
        self.keys = reversed_keys[order]
        self.pairs = self.keys >> bits
        self.ends = np.cumsum(counts.trigram_counts[order].astype(np.float64))

    def draw(self, size: int, length: int, generator: np.random.Generator) -> Ids:
        """At most ``size`` runs of ``length`` ≥ 3 tokens, newest first: int64 (n, length).

        A run that begins a document is left out where something should stand before it.
        """
        if len(self.keys) == 0:
            return np.zeros((0, length), np.int64)
        wanted = (generator.random() + np.arange(size)) / size * self.ends[-1]
        found = self.keys[self._at(wanted, 0, len(self.keys))]
        mask = (np.uint64(1) << self.bits) - np.uint64(1)
        tokens = [found >> self.bits * np.uint64(2), found >> self.bits & mask, found & mask]
        while len(tokens) < length:
            pair = tokens[-2] << self.bits | tokens[-1]
            low = np.searchsorted(self.pairs, pair, "left")
            high = np.searchsorted(self.pairs, pair, "right")
            known = high > low
            tokens, low, high = [t[known] for t in tokens], low[known], high[known]
            before = np.where(low > 0, self.ends[low - 1], 0.0)
            wanted = before + generator.random(len(low)) * (self.ends[high - 1] - before)
            tokens.append(self.keys[self._at(wanted, low, high)] & mask)
        return np.stack(tokens[:length], axis=1).astype(np.int64)

    def _at(self, wanted: NDArray[np.float64], low: Ids | int, high: Ids | int) -> Ids:
        """Index of the trigram that each point of the cumulated counts falls on."""
        at = np.searchsorted(self.ends, wanted, side="right")
        return np.clip(at, low, np.asarray(high) - 1).astype(np.int64)


def scored_contexts(stream: TokenStream, windows: Ids, length: int, absent: int) -> tuple[Ids, Ids]:
    """What stands before each scored token of the windows, and that token: (n, length), (n,).

    Newest first, int64; ``absent`` where the window has not begun.
    """
    at = scored_positions(windows)
    before = at[:, None] - 1 - np.arange(length)
    known = before >= window_starts(windows)[:, None]
    ids = stream.ids[np.where(known, before, 0)].astype(np.int64)
    return np.where(known, ids, absent), stream.ids[at].astype(np.int64)
