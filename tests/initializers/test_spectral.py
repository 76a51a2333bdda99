"""E = Q₊·λ₊^p against the dense eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from structinit_core.cooc import Counts, Distance, window_view
from structinit_core.initializers.kernel import spectral_embeddings
from structinit_core.linalg import generator


@pytest.fixture
def view(counts: Counts) -> sp.csr_array:
    return window_view(counts.offsets, 5, Distance.FLAT)


def embed(view, dim: int, **options):
    return spectral_embeddings(view, dim, generator(0, "test"), **options)


@pytest.mark.parametrize("dim", [8, 48])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_it_is_the_dense_answer(view, dim: int, power: float) -> None:
    """Rank 48 of 512 goes by Lanczos; the negative values, some larger, are passed over."""
    values, vectors = np.linalg.eigh(np.log1p(view.toarray()))
    assert np.abs(values[:dim]).max() > values[-dim]
    found = embed(view, dim, power=power)
    kept, top = vectors[:, -dim:], values[-dim:]
    wanted = (kept * top ** (2 * power)) @ kept.T
    rows = found.embeddings.astype(np.float64)
    np.testing.assert_allclose(found.values, top[::-1], rtol=1e-3)
    assert np.linalg.norm(rows @ rows.T - wanted) < 2e-3 * np.linalg.norm(wanted)


def test_renumbering_renumbers_and_nothing_else(view) -> None:
    order = np.random.default_rng(0).permutation(view.shape[0])
    one = embed(view, 16).embeddings
    other = embed(sp.csr_array(view[order][:, order]), 16).embeddings
    gram, renumbered = one @ one.T, other @ other.T
    assert np.abs(gram[np.ix_(order, order)] - renumbered).max() < 1e-3 * np.abs(gram).max()


def test_tokens_without_a_pair_have_zero_rows_and_no_others(view) -> None:
    silent = np.asarray(view.sum(axis=1)).ravel() == 0
    rows = embed(view, 32).embeddings
    assert not rows[silent].any()
    assert rows[~silent].any(axis=1).all()


def test_columns_without_a_positive_value_are_zero() -> None:
    """One positive eigenvalue, 3·ln 2 of the complete graph; the other three are −ln 2."""
    complete = sp.csr_array(np.ones((4, 4), np.uint32) - np.eye(4, dtype=np.uint32))
    found = embed(complete, 6)
    assert found.values == pytest.approx([3 * np.log(2)])
    assert found.embeddings.shape == (4, 6)
    assert not found.embeddings[:, 1:].any()
    assert found.embeddings[:, 0] == pytest.approx(np.sqrt(3 * np.log(2)) / 2)
