from __future__ import annotations

import numpy as np
import pytest

from structinit_core.cooc import Counts, KneserNey, TrigramRows


@pytest.fixture
def model(counts: Counts) -> KneserNey:
    return KneserNey(counts)


@pytest.fixture
def rows(model: KneserNey) -> TrigramRows:
    return TrigramRows(model)


AT = np.arange(0, 4000, 37)


def test_a_row_is_the_interpolated_trigram(model: KneserNey, rows: TrigramRows) -> None:
    first, second = (np.repeat(t[AT], model.vocabulary) for t in (rows.first, rows.second))
    third = np.tile(np.arange(model.vocabulary), len(AT))
    expected = model.trigram_probability(first, second, third).reshape(len(AT), -1)
    assert np.allclose(rows.dense(AT), expected, rtol=1e-5, atol=1e-9)
    assert np.allclose(rows.dense(AT).sum(axis=1), 1, atol=1e-5)


def test_every_counted_trigram_stands_behind_its_pair(counts: Counts, rows: TrigramRows) -> None:
    assert rows.mass.sum() == counts.trigram_counts.sum()
    assert rows.direct.nnz == len(counts.trigram_keys)


def test_means_and_entropies_are_those_of_the_rows(rows: TrigramRows) -> None:
    dense = rows.dense(AT)
    columns = np.random.default_rng(0).standard_normal((dense.shape[1], 5))
    assert np.allclose(rows.means(AT, columns), dense @ columns, atol=1e-5)
    assert np.allclose(rows.entropies(AT), -(dense * np.log(dense)).sum(axis=1))
