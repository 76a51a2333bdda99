"""KN-2 and KN-3 at every n-gram of small random corpora equal exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import KneserNey

VOCABULARY = 6
"""Documents use the first five, so that one token is never seen."""

Fit = Callable[[list[list[int]], int], KneserNey]
Queries = tuple[np.ndarray[Any, Any], ...]


def all_grams(order: int, vocabulary: int) -> Queries:
    """Every n-gram of the vocabulary, one array a place, in the type of a token stream."""
    return tuple(np.array(list(product(range(vocabulary), repeat=order)), dtype=np.uint16).T)


def assert_equal_everywhere(
    model: KneserNey, documents: list[list[int]], vocabulary: int, naive: Any
) -> None:
    expected = naive(documents, vocabulary)
    pairs, triples = all_grams(2, vocabulary), all_grams(3, vocabulary)
    np.testing.assert_allclose(
        model.unigram,
        [float(expected.unigram((), token)) for token in range(vocabulary)],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        model.bigram_probability(*pairs),
        [float(expected.kn2((a,), b)) for a, b in zip(*map(np.ndarray.tolist, pairs), strict=True)],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        model.trigram_probability(*triples),
        [
            float(expected.kn3((a, b), c))
            for a, b, c in zip(*map(np.ndarray.tolist, triples), strict=True)
        ],
        rtol=1e-12,
    )


token = st.integers(0, VOCABULARY - 2)
small_corpora = st.lists(st.lists(token, min_size=1, max_size=14), min_size=1, max_size=8).filter(
    lambda documents: max(map(len, documents)) > 1
)


@settings(max_examples=40, deadline=None)
@given(documents=small_corpora)
def test_small_corpora(documents: list[list[int]], fit: Fit, naive: Any) -> None:
    model = fit(documents, VOCABULARY)
    assert_equal_everywhere(model, documents, VOCABULARY, naive)


@pytest.mark.parametrize("seed", range(3))
def test_corpora_with_repeated_trigrams(seed: int, fit: Fit, naive: Any) -> None:
    # long enough that all three orders have counts of one and of two, so a real discount
    rng = np.random.default_rng(seed)
    mass = 1 / np.arange(1, 9) ** 1.5
    documents = [
        rng.choice(8, length, p=mass / mass.sum()).tolist() for length in rng.integers(2, 40, 12)
    ]
    assert_equal_everywhere(fit(documents, 9), documents, 9, naive)


@pytest.mark.parametrize("width", [np.uint16, np.uint32, np.int64])
def test_queries_in_any_integer_type(width: Any, fit: Fit) -> None:
    # a vocabulary whose packed keys and row·V products do not fit the 16 bits of a token
    documents = [[999, 0, 999, 998, 0, 999, 998, 7]]
    model = fit(documents, 1000)
    triples = [
        array.astype(width) for array in np.array([[999, 0, 999], [0, 999, 998], [7, 7, 7]]).T
    ]
    wide = [array.astype(np.int64) for array in triples]
    np.testing.assert_array_equal(
        model.bigram_probability(*triples[:2]), model.bigram_probability(*wide[:2])
    )
    np.testing.assert_array_equal(
        model.trigram_probability(*triples), model.trigram_probability(*wide)
    )


def test_no_query_gives_no_answer(fit: Fit) -> None:
    model, none = fit([[0, 1, 2]], 3), np.zeros(0, np.uint16)
    assert model.bigram_probability(none, none).shape == (0,)
    assert model.trigram_probability(none, none, none).shape == (0,)
