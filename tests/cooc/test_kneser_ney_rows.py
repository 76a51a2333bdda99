"""Every row of KN-2 and KN-3 is a distribution, and the sparse views give the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from structinit_core.cooc import KneserNey

VOCABULARY = 45
SEEN = 40
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def model(fit: Callable[[list[list[int]], int], KneserNey]) -> KneserNey:
    """A corpus in which some tokens are frequent, some end a document, five never occur."""
    rng = np.random.default_rng(3)
    mass = 1 / np.arange(1, SEEN)
    documents = [
        [*rng.choice(SEEN - 1, length, p=mass / mass.sum()).tolist(), SEEN - 1]
        for length in rng.integers(1, 60, 40)
    ]
    return fit(documents, VOCABULARY)


@pytest.fixture(scope="module")
def bigram_rows(model: KneserNey) -> Array:
    """P(b|a) of all pairs as a matrix (V, V)."""
    first, second = np.divmod(np.arange(VOCABULARY**2), VOCABULARY)
    return model.bigram_probability(first, second).reshape(VOCABULARY, VOCABULARY)


def test_there_are_rows_without_counts(model: KneserNey) -> None:
    # the last token of every document and the unseen ones: what the other tests rely on
    assert np.flatnonzero(model.totals == 0).tolist() == list(range(SEEN - 1, VOCABULARY))


def test_distributions_sum_to_one(model: KneserNey, bigram_rows: Array) -> None:
    np.testing.assert_allclose(model.unigram.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(model.continuation.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(bigram_rows.sum(axis=1), 1, rtol=1e-12)


def test_trigram_rows_sum_to_one(model: KneserNey) -> None:
    every = np.arange(VOCABULARY)
    sums = [
        model.trigram_probability(np.full(VOCABULARY, a), np.full(VOCABULARY, b), every).sum()
        for a in range(VOCABULARY)
        for b in range(VOCABULARY)
    ]
    np.testing.assert_allclose(sums, 1, rtol=1e-12)


def test_what_was_never_seen_stays_possible(model: KneserNey, bigram_rows: Array) -> None:
    assert (model.unigram > 0).all()
    assert (model.continuation > 0).all()
    assert (bigram_rows > 0).all()
    unseen = np.full(VOCABULARY, VOCABULARY - 1)
    every = np.arange(VOCABULARY)
    assert (model.trigram_probability(every, every, unseen) > 0).all()
    assert (model.trigram_probability(unseen, unseen, every) > 0).all()


def test_log_ratio_is_the_bigram_up_to_the_softmax(model: KneserNey, bigram_rows: Array) -> None:
    logits = np.log(model.continuation) + model.log_ratio().toarray()
    np.testing.assert_allclose(softmax(logits, axis=1), bigram_rows, rtol=1e-12)


def test_log_ratio_is_positive_where_a_pair_was_counted(model: KneserNey) -> None:
    ratio = model.log_ratio()
    assert (ratio.data > 0).all()
    np.testing.assert_array_equal(ratio.toarray() > 0, model.bigrams.toarray() > 0)


def test_direct_and_back_off_add_up_to_the_bigram(model: KneserNey, bigram_rows: Array) -> None:
    direct = model.direct().toarray()
    assert (direct >= 0).all()
    mixed = direct + model.backoff[:, None] * model.continuation
    np.testing.assert_allclose(mixed, bigram_rows, rtol=1e-12)


def test_rows_without_counts_are_the_continuation(model: KneserNey, bigram_rows: Array) -> None:
    np.testing.assert_allclose(
        bigram_rows[SEEN:], np.broadcast_to(model.continuation, (VOCABULARY - SEEN, VOCABULARY))
    )


def test_the_views_share_the_counts_index_arrays(model: KneserNey) -> None:
    # at 10⁸ pairs a second set of indices is what memory would be lost to
    for view in (model.direct(), model.log_ratio()):
        assert np.shares_memory(view.indices, model.bigrams.indices)
