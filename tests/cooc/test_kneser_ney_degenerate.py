"""Corpora on which a formula of Kneser-Ney could divide by zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import KneserNey
from structinit_core.cooc.kneser_ney import discount, smoothed_unigram

CORPORA: dict[str, tuple[list[list[int]], int]] = {
    "all counts are one": ([[0, 1, 2, 3, 4]], 6),
    "all counts are two": ([[0, 1, 2, 3], [0, 1, 2, 3]], 5),
    "one token repeated": ([[2] * 9], 4),
    "a vocabulary of one": ([[0] * 5], 1),
    "documents of two tokens": ([[0, 1], [1, 0], [0, 1], [2, 2]], 4),
    "one pair": ([[0, 1]], 2),
    "mostly documents of one token": ([[0], [1], [1], [0, 2]], 4),
}


@pytest.mark.parametrize(("documents", "vocabulary"), CORPORA.values(), ids=CORPORA.keys())
def test_equal_to_fractions_and_normalised(
    documents: list[list[int]],
    vocabulary: int,
    fit: Callable[[list[list[int]], int], KneserNey],
    naive: Any,
) -> None:
    model, expected = fit(documents, vocabulary), naive(documents, vocabulary)
    every = np.arange(vocabulary)
    for a in range(vocabulary):
        first = np.full(vocabulary, a)
        row = model.bigram_probability(first, every)
        np.testing.assert_allclose(row, [float(expected.kn2((a,), b)) for b in every], rtol=1e-12)
        assert row.sum() == pytest.approx(1, rel=1e-12)
        for b in range(vocabulary):
            row = model.trigram_probability(first, np.full(vocabulary, b), every)
            wanted = [float(expected.kn3((a, b), c)) for c in every]
            np.testing.assert_allclose(row, wanted, rtol=1e-12)
    logits = np.log(model.continuation) + model.log_ratio().toarray()
    assert np.isfinite(logits).all()


def test_documents_of_one_token_have_no_pair(
    fit: Callable[[list[list[int]], int], KneserNey],
) -> None:
    # nothing is known of followers, so every follower is as likely as any other
    model = fit([[0], [1], [1]], 4)
    np.testing.assert_allclose(model.continuation, 1 / 4)
    np.testing.assert_allclose(model.bigram_probability(np.arange(4), np.arange(4)), 1 / 4)
    assert model.unigram[1] > model.unigram[0] > model.unigram[2] > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=20))
def test_a_discount_leaves_something_of_every_count(counts: list[int]) -> None:
    assert 0 < discount(np.array(counts, np.uint32)) < 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(any))
def test_smoothing_keeps_the_order_of_counts(counts: list[int]) -> None:
    smoothed = smoothed_unigram(np.array(counts))
    assert smoothed.sum() == pytest.approx(1, rel=1e-12)
    assert (smoothed > 0).all()
    ordered = smoothed[np.argsort(counts, kind="stable")]
    assert (np.diff(ordered) >= -1e-15).all()
