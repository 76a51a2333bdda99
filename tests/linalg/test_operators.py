"""Implicit matrices equal their dense form, and centring removes the softmax gauge."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.linalg import SparsePlusLowRank, weighted_double_centred

Array = np.ndarray[Any, Any]
sizes = st.integers(1, 12)
seeds = st.integers(0, 10_000)


def draw_sparse(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """A dense array most entries of which are zero, some whole rows included."""
    return rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < 0.3)


def draw_mass(rng: np.random.Generator, length: int) -> Array:
    """Positive numbers that sum to one; where there are several, the last is zero."""
    mass = rng.random(length) + 0.01
    mass[1:][-1:] = 0
    return mass / mass.sum()


def as_dense(operator: SparsePlusLowRank) -> Array:
    return operator @ np.eye(operator.shape[1], dtype=np.float32)


@settings(max_examples=40, deadline=None)
@given(rows=sizes, columns=sizes, rank=st.integers(1, 3), width=st.integers(1, 4), seed=seeds)
def test_products_equal_the_dense_matrix(
    rows: int, columns: int, rank: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sparse = draw_sparse(rng, rows, columns).astype(np.float32)
    left = rng.standard_normal((rows, rank)).astype(np.float32)
    right = rng.standard_normal((columns, rank)).astype(np.float32)
    operator = SparsePlusLowRank(sp.csr_array(sparse), sp.csr_array(sparse.T), left, right)
    dense = sparse.astype(np.float64) - left.astype(np.float64) @ right.T
    block = rng.standard_normal((columns, width)).astype(np.float32)
    other = rng.standard_normal((rows, width)).astype(np.float32)
    assert operator.shape == dense.shape
    product, adjoint = operator @ block, operator.adjoint(other)
    assert product.dtype == adjoint.dtype == np.float32
    np.testing.assert_allclose(product, dense @ block, atol=1e-4)
    np.testing.assert_allclose(adjoint, dense.T @ other, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(rows=sizes, columns=sizes, seed=seeds)
def test_centred_means_are_zero(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = draw_mass(rng, rows), draw_mass(rng, columns)
    matrix = draw_sparse(rng, rows, columns)
    operator, column_means = weighted_double_centred(sp.csr_array(matrix), p, q)
    dense = as_dense(operator)
    np.testing.assert_allclose(dense @ np.sqrt(q), 0, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(p) @ dense, 0, atol=1e-5)
    np.testing.assert_allclose(column_means, p @ matrix, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(rows=sizes, columns=sizes, seed=seeds)
def test_centring_is_a_projection_on_either_side(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = draw_mass(rng, rows), draw_mass(rng, columns)
    matrix = draw_sparse(rng, rows, columns)
    centred = (np.eye(rows) - p) @ matrix @ (np.eye(columns) - q).T
    expected = np.sqrt(p)[:, None] * centred * np.sqrt(q)
    dense = as_dense(weighted_double_centred(sp.csr_array(matrix), p, q)[0])
    np.testing.assert_allclose(dense, expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(rows=sizes, columns=sizes, seed=seeds)
def test_row_constants_and_the_bias_leave_no_trace(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = draw_mass(rng, rows), draw_mass(rng, columns)
    matrix = draw_sparse(rng, rows, columns)
    shifted = matrix + rng.standard_normal((rows, 1)) + rng.standard_normal(columns)
    operators = [weighted_double_centred(sp.csr_array(m), p, q)[0] for m in (matrix, shifted)]
    np.testing.assert_allclose(as_dense(operators[0]), as_dense(operators[1]), atol=1e-5)


def test_nothing_dense_is_made() -> None:
    # a dense form of this table would be 3 GB
    size = 28_000
    rows, columns = np.divmod(np.arange(0, size * size, 7_919_777), size)
    matrix = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    mass = np.full(size, 1 / size)
    operator, _ = weighted_double_centred(matrix, mass, mass)
    assert operator.sparse.nnz == operator.transposed.nnz == matrix.nnz
    assert operator.left.shape == operator.right.shape == (size, 2)
    constant = np.full((size, 1), 1 / np.sqrt(size), np.float32)
    np.testing.assert_allclose(operator @ constant, 0, atol=1e-6)
