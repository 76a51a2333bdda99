"""Folded matrices: exact against the dense SVD, nothing left to merge, nothing lost or invented."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.errors import NumericalError
from structinit_core.linalg import generator, sparse_operator, truncated_svd
from structinit_core.linalg.folding import fold, worth_folding

Array = np.ndarray[Any, Any]


def graph(seed: int, rows: int, columns: int, entries: int) -> sp.csr_array:
    """Links between nodes of Zipf popularity, with weights of both signs."""
    rng = np.random.default_rng(seed)
    ends = []
    for size in (rows, columns):
        weight = 1 / np.arange(1, size + 1) ** 0.9
        ends.append(rng.permutation(size)[rng.choice(size, entries, p=weight / weight.sum())])
    matrix = sp.csr_array((rng.standard_normal(entries), ends), shape=(rows, columns))
    return sp.csr_array(matrix, dtype=np.float32)


def stars(sizes: list[int]) -> sp.csr_array:
    """Rows of so many columns of their own each: nothing but parallel columns."""
    rows = np.repeat(np.arange(len(sizes)), sizes)
    values = np.random.default_rng(0).uniform(1, 2, len(rows)).astype(np.float32)
    return sp.csr_array((values, (rows, np.arange(len(rows)))))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 60),
    st.booleans(),
)
def test_the_core_times_rotations_is_the_matrix(
    seed: int, rows: int, columns: int, entries: int, turned: bool
) -> None:
    matrix = graph(seed, rows, columns, entries)
    matrix = sp.csr_array(matrix.T) if turned else matrix
    folding = fold(sparse_operator(matrix), min(matrix.shape))
    core = folding.core.sparse.toarray()
    sides = folding.left.toarray(), folding.right.toarray()
    np.testing.assert_allclose(sides[0] @ core @ sides[1].T, matrix.toarray(), atol=2e-6)
    for side in sides:
        np.testing.assert_allclose(side.T @ side, np.eye(side.shape[1]), atol=1e-6)
    np.testing.assert_array_equal(folding.core.transposed.toarray(), core.T)
    counts = (core != 0).sum(axis=1), (core != 0).sum(axis=0)
    assert all((count > 0).all() and (np.diff(count) <= 0).all() for count in counts)
    # no row has two columns of one entry, no column two such rows: folded for good
    single = core[:, counts[1] == 1], core[counts[0] == 1]
    assert ((single[0] != 0).sum(axis=1) <= 1).all()
    assert ((single[1] != 0).sum(axis=0) <= 1).all()


@pytest.mark.parametrize("rank", [1, 5, 30])
@pytest.mark.parametrize("shape", [(700, 900), (900, 700)])
def test_triplets_of_the_whole_matrix(shape: tuple[int, int], rank: int) -> None:
    matrix = graph(1, *shape, 800)
    operator = sparse_operator(matrix)
    assert worth_folding(operator)
    svd = truncated_svd(operator, rank, generator(0), tolerance=1e-6)
    dense = matrix.toarray().astype(np.float64)
    values = np.linalg.svd(dense, compute_uv=False)
    np.testing.assert_allclose(svd.values, values[:rank], rtol=1e-5)
    expected = (values[:rank] ** 2).sum() / (values**2).sum()
    assert svd.report.energy == pytest.approx(expected, rel=1e-5)
    for side, length in ((svd.left, shape[0]), (svd.right, shape[1])):
        assert side.shape == (length, rank)
        np.testing.assert_allclose(side.T @ side, np.eye(rank), atol=5e-6)
    np.testing.assert_allclose(dense @ svd.right, svd.left * svd.values, atol=1e-4 * values[0])
    np.testing.assert_allclose(dense.T @ svd.left, svd.right * svd.values, atol=1e-4 * values[0])
    assert (svd.left.max(axis=0) >= -svd.left.min(axis=0)).all()


@pytest.mark.parametrize("turned", [False, True])
def test_stars_fold_to_a_diagonal_of_their_norms(turned: bool) -> None:
    matrix = stars([5, 1, 300, 20, 7])
    norms = np.sort(sp.linalg.norm(matrix, axis=1))[::-1]
    operator = sparse_operator(sp.csr_array(matrix.T) if turned else matrix)
    folding = fold(operator, 3)
    assert folding.core.shape == (3, 3)
    np.testing.assert_allclose(np.sort(folding.core.sparse.data)[::-1], norms[:3], rtol=1e-6)
    svd = truncated_svd(operator, 3, generator(0))
    np.testing.assert_allclose(svd.values, norms[:3], rtol=1e-6)
    assert svd.report.energy == pytest.approx((norms[:3] ** 2).sum() / (norms**2).sum())


def test_zeros_and_entries_stored_twice() -> None:
    # column 0 twice in row 0, column 1 a stored zero, columns 2 and 3 parallel in row 0
    indices, data = np.array([0, 0, 1, 2, 3]), np.array([1, 2, 0, 3, 4], np.float32)
    matrix = sp.csr_array((data, indices, np.array([0, 5, 5])), shape=(2, 4))
    folding = fold(sparse_operator(matrix), 2)
    left, core, right = folding.left, folding.core.sparse, folding.right
    np.testing.assert_allclose((left @ core @ right.T).toarray(), [[3, 0, 3, 4], [0] * 4])
    assert core.shape == (1, 2)


def test_nothing_at_all() -> None:
    empty = sparse_operator(sp.csr_array((400, 500), dtype=np.float32))
    stored = sparse_operator(sp.csr_array(np.eye(400, 500, dtype=np.float32)))
    stored.sparse.data[:] = stored.transposed.data[:] = 0
    for operator in (empty, stored):
        svd = truncated_svd(operator, 3, generator(0))
        assert svd.values.tolist() == [0.0]
        assert svd.left.shape == (400, 1)
        assert svd.report.energy == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("sizes", [[5, 1, 30], [1] * 400])
def test_not_a_number_is_found_wherever_it_is(bad: float, sizes: list[int]) -> None:
    matrix = stars(sizes)
    matrix.data[1] = bad
    with pytest.raises(NumericalError):
        truncated_svd(sparse_operator(matrix), 2, generator(0))


def test_a_start_is_folded_too() -> None:
    matrix = graph(2, 5000, 6000, 9000)
    operator = sparse_operator(matrix)
    cold = truncated_svd(operator, 20, generator(0), tolerance=1e-2)
    warm = truncated_svd(operator, 20, generator(1), tolerance=1e-2, start=cold)
    assert warm.report.converged
    assert warm.report.products < cold.report.products / 2
    np.testing.assert_allclose(warm.values[:10], cold.values[:10], rtol=1e-2)


def test_other_matrices_are_left_alone() -> None:
    dense = sp.csr_array(np.ones((30, 20), np.float32))
    assert not worth_folding(sparse_operator(dense))
    loose = sp.csr_array(sp.eye_array(50, dtype=np.float32))
    assert worth_folding(sparse_operator(loose))
    assert not worth_folding(sparse_operator(loose, symmetric=True))
