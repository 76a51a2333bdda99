from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from structinit_core.cooc import Counts
from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.contexts import (
    Contexts,
    TextContexts,
    scored_contexts,
)

LENGTH = 5


@pytest.fixture
def drawn(counts: Counts) -> np.ndarray:
    return Contexts(counts).draw(20_000, LENGTH, np.random.default_rng(0))


def keys(counts: Counts, runs: np.ndarray) -> np.ndarray:
    """Trigram keys, oldest token first, of runs with the newest first."""
    newest, middle, oldest = (runs[:, i].astype(np.uint64) for i in range(3))
    bits = np.uint64(counts.bits)
    return (oldest << bits + bits) | (middle << bits) | newest


def test_any_three_neighbours_were_counted(counts: Counts, drawn: np.ndarray) -> None:
    for first in range(LENGTH - 2):
        assert np.isin(keys(counts, drawn[:, first:]), counts.trigram_keys).all()


def test_the_newest_token_has_its_frequency(counts: Counts, drawn: np.ndarray) -> None:
    newest = counts.trigram_keys & np.uint64((1 << counts.bits) - 1)
    expected = np.bincount(newest.astype(np.int64), counts.trigram_counts, counts.vocabulary)
    found = np.bincount(drawn[:, 0], minlength=counts.vocabulary)
    error = found / len(drawn) - expected / expected.sum()
    assert float(np.abs(error).max()) < 2e-3


@pytest.mark.parametrize("lag", [2, 3, 4])
def test_older_tokens_are_as_frequent_as_in_the_text(
    counts: Counts, drawn: np.ndarray, lag: int
) -> None:
    expected = counts.unigram / counts.unigram.sum()
    found = np.bincount(drawn[:, lag], minlength=counts.vocabulary) / len(drawn)
    assert float(np.abs(found - expected).sum()) < 0.25


def test_few_runs_are_lost(drawn: np.ndarray) -> None:
    assert 19_000 < len(drawn) <= 20_000


def test_the_same_generator_draws_the_same(counts: Counts) -> None:
    one, other = (Contexts(counts).draw(100, 4, np.random.default_rng(3)) for _ in "ab")
    assert np.array_equal(one, other)


def test_nothing_counted_is_nothing_drawn(counts: Counts) -> None:
    empty = dataclasses.replace(
        counts, trigram_keys=counts.trigram_keys[:0], trigram_counts=counts.trigram_counts[:0]
    )
    assert Contexts(empty).draw(10, 4, np.random.default_rng(0)).shape == (0, 4)


def test_scored_contexts_stay_within_their_window() -> None:
    stream = TokenStream(np.arange(10, 20, dtype=np.uint16), np.array([0, 10]))
    before, following = scored_contexts(stream, np.array([[0, 4], [4, 7]]), 3, absent=99)
    assert following.tolist() == [11, 12, 13, 15, 16]
    assert before.tolist() == [
        [10, 99, 99],
        [11, 10, 99],
        [12, 11, 10],
        [14, 99, 99],
        [15, 14, 99],
    ]


SPANS = np.array([[0, 4], [4, 5], [7, 13]])


def text_contexts(spans: np.ndarray = SPANS) -> TextContexts:
    return TextContexts(np.arange(100, 120, dtype=np.uint16), spans)


def test_runs_of_the_text_lie_within_one_counted_span() -> None:
    runs = text_contexts().draw(6_000, 3, np.random.default_rng(0))
    found, times = np.unique(runs, axis=0, return_counts=True)
    newest = [102, 103, 109, 110, 111, 112]
    assert found.tolist() == [[n, n - 1, n - 2] for n in newest]
    assert times.tolist() == pytest.approx([1000] * 6, abs=2)
    assert runs.dtype == np.int64


def test_no_span_is_long_enough_for_a_run() -> None:
    contexts = text_contexts()
    assert contexts.draw(10, 6, np.random.default_rng(0)).shape == (10, 6)
    assert contexts.draw(10, 7, np.random.default_rng(0)).shape == (0, 7)
    assert text_contexts(SPANS[:0]).draw(10, 3, np.random.default_rng(0)).shape == (0, 3)
