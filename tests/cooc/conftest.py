"""Counts artifacts made by hand from lists of documents, and Kneser-Ney in plain fractions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from structinit_core.artifact import Recipe, locked, staged
from structinit_core.cooc import (
    COUNTS_KIND,
    COUNTS_VERSION,
    CountFacts,
    HeldOut,
    KneserNey,
    count_stream,
    open_counts,
    write_held_out,
)
from structinit_core.corpus import TokenStream

Documents = Sequence[Sequence[int]]


def _stream_of(documents: Documents, width: Any = np.uint16) -> TokenStream:
    ids = np.array([token for document in documents for token in document], dtype=width)
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    return TokenStream(ids, offsets)


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., TokenStream]:
    """Documents as a token stream in memory."""
    return _stream_of


def _write_counts(
    work: Path, documents: Documents, vocabulary: int, held_out: Documents = (), offsets: int = 2
) -> None:
    stream, held = _stream_of(documents), _stream_of(held_out)
    spans, held_spans = (
        np.stack((each.offsets[:-1], each.offsets[1:]), axis=1) for each in (stream, held)
    )
    count_stream(stream, spans, vocabulary, work, offsets=offsets, memory_bytes=1 << 24)
    write_held_out([HeldOut(lambda: held.ids, held_spans)], work, 1 << 24)
    (work / "tokenizer.json").write_text('{"a": "tokenizer"}', encoding="utf-8")
    CountFacts(
        vocabulary=vocabulary,
        offsets=offsets,
        documents=len(documents) + len(held_out),
        tokens=len(stream.ids) + len(held.ids),
        counted_tokens=len(stream.ids),
        held_out_tokens=len(held.ids),
        held_out_spans=len(held_out),
    ).write(work)


@pytest.fixture(scope="session")
def write_counts() -> Callable[..., None]:
    """Write the files of the counts of some documents, without a manifest."""
    return _write_counts


@pytest.fixture(scope="session")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Publish the counts of some documents; ``tamper`` edits the files before the manifest."""

    def make(
        documents: Documents,
        vocabulary: int,
        *,
        held_out: Documents = (),
        offsets: int = 2,
        kind: str = COUNTS_KIND,
        version: int = COUNTS_VERSION,
        tamper: Callable[[Path], object] | None = None,
    ) -> Path:
        output = tmp_path_factory.mktemp("artifact") / "counts"
        recipe = Recipe(kind=kind, version=version, params={}, inputs=())
        with locked(output), staged(output, recipe) as work:
            _write_counts(work, documents, vocabulary, held_out, offsets)
            if tamper is not None:
                tamper(work)
        return output

    return make


@pytest.fixture(scope="session")
def fit(publish: Callable[..., Path]) -> Callable[[Documents, int], KneserNey]:
    """The library's model of some documents, by way of an artifact on disk."""
    return lambda documents, vocabulary: KneserNey(open_counts(publish(documents, vocabulary)))


Gram = tuple[tuple[int, ...], int]
Probability = Callable[[tuple[int, ...], int], Fraction]


class Order:
    """One order of interpolated Kneser-Ney: counts of (context, token) over a lower order."""

    def __init__(self, counts: Counter[Gram], lower: Probability) -> None:
        self.lower = lower
        self.rows: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        for (context, token), count in counts.items():
            self.rows[context][token] = count
        once, twice = (sum(n == times for n in counts.values()) for times in (1, 2))
        self.discount = Fraction(once, once + 2 * twice) if once and twice else Fraction(3, 4)

    def __call__(self, context: tuple[int, ...], token: int) -> Fraction:
        below = self.lower(context[1:], token)
        if context not in self.rows:
            return below
        row = self.rows[context]
        kept = max(row.get(token, 0) - self.discount, Fraction(0))
        return (kept + self.discount * len(row) * below) / sum(row.values())


class NaiveKneserNey:
    """The unigram, KN-2 and KN-3 of a list of documents."""

    def __init__(self, documents: Documents, vocabulary: int) -> None:
        unigrams: Counter[Gram] = Counter(((), a) for d in documents for a in d)
        bigrams: Counter[Gram] = Counter(((a,), b) for d in documents for a, b in pairwise(d))
        trigrams: Counter[Gram] = Counter(
            ((a, b), c) for d in documents for a, b, c in zip(d, d[1:], d[2:], strict=False)
        )

        def uniform(context: tuple[int, ...], token: int) -> Fraction:
            return Fraction(1, vocabulary)

        def continuations(counts: Counter[Gram]) -> Counter[Gram]:
            """In how many kinds, not how often, does something stand before?"""
            return Counter((context[1:], token) for context, token in counts)

        lowest = Order(continuations(bigrams), uniform)
        self.unigram = Order(unigrams, uniform)
        self.kn2 = Order(bigrams, lowest)
        self.kn3 = Order(trigrams, Order(continuations(trigrams), lowest))


@pytest.fixture(scope="session")
def naive() -> type[NaiveKneserNey]:
    """The reference: exact fractions, no arrays."""
    return NaiveKneserNey
