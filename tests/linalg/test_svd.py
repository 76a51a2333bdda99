"""The truncated SVD against the dense one, and how honest it is about its error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from structinit_core.errors import NumericalError
from structinit_core.linalg import (
    SparsePlusLowRank,
    TruncatedSvd,
    generator,
    sparse_operator,
    truncated_svd,
)

Array = np.ndarray[Any, Any]


def implicit(matrix: Array) -> SparsePlusLowRank:
    """``matrix`` as the difference of a larger matrix and a product of rank two."""
    rng = np.random.default_rng(11)
    left = rng.standard_normal((matrix.shape[0], 2)).astype(np.float32)
    right = rng.standard_normal((matrix.shape[1], 2)).astype(np.float32)
    table = (matrix + left.astype(np.float64) @ right.T).astype(np.float32)
    return SparsePlusLowRank(sp.csr_array(table), sp.csr_array(table.T), left, right)


def with_spectrum(rows: int, columns: int, values: Array) -> Array:
    """A matrix with random singular vectors and these singular values."""
    rng = np.random.default_rng(rows * columns)
    left = np.linalg.qr(rng.standard_normal((rows, len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(values))))[0]
    return (left * values) @ right.T


def true_residual(matrix: Array, svd: TruncatedSvd) -> float:
    """The stated residual, computed from the dense matrix in float64."""
    left, right = svd.left.astype(np.float64), svd.right.astype(np.float64)
    forward = np.linalg.norm(matrix @ right - left * svd.values, axis=0)
    back = np.linalg.norm(matrix.T @ left - right * svd.values, axis=0)
    return float(max(forward.max(), back.max()) / svd.values[0])


@pytest.mark.parametrize(
    ("rows", "columns"), [(120, 90), (60, 200), (100, 100), (500, 300), (280, 700), (400, 400)]
)
@pytest.mark.parametrize("rank", [1, 8])
def test_equal_to_the_dense_svd(rows: int, columns: int, rank: int) -> None:
    matrix = with_spectrum(rows, columns, 3 * 0.7 ** np.arange(50))
    svd = truncated_svd(implicit(matrix), rank, generator(0, "svd"))
    left, values, right = np.linalg.svd(matrix)
    assert svd.left.shape == (rows, rank)
    assert svd.right.shape == (columns, rank)
    assert svd.left.dtype == svd.values.dtype == svd.right.dtype == np.float32
    np.testing.assert_allclose(svd.values, values[:rank], rtol=1e-4)
    # the sine of the largest angle between found and true subspace
    for found, true in ((svd.left, left[:, :rank]), (svd.right, right[:rank].T)):
        assert np.linalg.norm(found - true @ (true.T @ found), 2) < 1e-3
    np.testing.assert_allclose(svd.left.T @ svd.left, np.eye(rank), atol=1e-5)
    np.testing.assert_allclose(svd.right.T @ svd.right, np.eye(rank), atol=1e-5)
    assert svd.report.residual < 1e-4


@pytest.mark.parametrize("decay", [0.97, 0.8])
def test_nearly_the_best_approximation_of_its_rank(decay: float) -> None:
    values = decay ** np.arange(80)
    matrix = with_spectrum(150, 110, values)
    svd = truncated_svd(implicit(matrix), 10, generator(0, "svd"))
    error = np.linalg.norm(matrix - (svd.left * svd.values) @ svd.right.T)
    best = np.sqrt((values[10:] ** 2).sum())
    assert best * (1 - 1e-5) <= error <= best * 1.01


@pytest.mark.parametrize("columns", [20, 40, 120])
@pytest.mark.parametrize("decay", [1.0, 0.9])
@pytest.mark.parametrize("shape", [(400, 310), (310, 400)])
def test_the_stated_residual_is_the_true_one(
    columns: int, decay: float, shape: tuple[int, int]
) -> None:
    matrix = with_spectrum(*shape, decay ** np.arange(300))
    operator = sparse_operator(sp.csr_array(matrix))
    svd = truncated_svd(operator, 10, generator(0, "svd"), columns=columns, tolerance=0)
    assert not svd.report.converged
    assert svd.report.residual == pytest.approx(true_residual(matrix, svd), rel=1e-2, abs=1e-5)


def test_too_few_columns_are_admitted() -> None:
    matrix = with_spectrum(400, 310, 0.99 ** np.arange(300))
    few, many = (
        truncated_svd(implicit(matrix), 10, generator(0, "svd"), columns=columns).report
        for columns in (20, 200)
    )
    assert few.residual > 0.02
    assert not few.converged
    assert many.converged
    assert many.residual < few.residual / 5
    assert few.products < many.products


def test_the_largest_entry_of_a_left_vector_is_positive() -> None:
    matrix = with_spectrum(90, 70, 0.8 ** np.arange(40))
    for sign in (1, -1):
        svd = truncated_svd(implicit(sign * matrix), 12, generator(0, "svd"))
        assert (svd.left.max(axis=0) >= -svd.left.min(axis=0)).all()
        assert (np.diff(svd.values) <= 0).all()
        assert (svd.values > 0).all()


def test_the_same_name_gives_the_same_bytes() -> None:
    operator = implicit(with_spectrum(90, 70, 0.8 ** np.arange(40)))
    first, again = (truncated_svd(operator, 6, generator(5, "svd")) for _ in range(2))
    for name in ("left", "values", "right"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.report == again.report


def test_another_name_gives_the_same_vectors_up_to_rounding() -> None:
    # simple singular values and fixed signs leave nothing to chance
    operator = implicit(with_spectrum(90, 70, 0.6 ** np.arange(20)))
    one, other = (truncated_svd(operator, 4, generator(0, name)) for name in ("one", "other"))
    np.testing.assert_allclose(one.left, other.left, atol=1e-4)
    np.testing.assert_allclose(one.right, other.right, atol=1e-4)


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (1, 5), (5, 1), (1, 1), (1, 900)])
def test_a_rank_beyond_the_matrix_gives_all_of_it(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(2).standard_normal(shape)
    svd = truncated_svd(implicit(matrix), 50, generator(0, "svd"))
    assert len(svd.values) == min(shape)
    np.testing.assert_allclose((svd.left * svd.values) @ svd.right.T, matrix, atol=1e-4)
    assert svd.report.residual < 1e-4


def test_a_rank_beyond_that_of_the_matrix() -> None:
    svd = truncated_svd(implicit(with_spectrum(60, 50, np.ones(3))), 8, generator(0, "svd"))
    np.testing.assert_allclose(svd.values[:3], 1, rtol=1e-4)
    np.testing.assert_allclose(svd.values[3:], 0, atol=1e-4)


def test_a_matrix_of_zeros() -> None:
    nothing = sp.csr_array((9, 6), dtype=np.float32)
    none = np.zeros((9, 1), np.float32), np.zeros((6, 1), np.float32)
    svd = truncated_svd(SparsePlusLowRank(nothing, nothing.T.tocsr(), *none), 3, generator(0))
    assert (svd.values == 0).all()
    assert svd.report.residual == 0


# numpy may say "invalid value" on the way; what counts is how it ends
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["sparse", "left", "right"])
def test_not_a_number_is_a_numerical_failure(bad: float, place: str) -> None:
    operator = implicit(np.random.default_rng(0).standard_normal((30, 20)))
    if place == "sparse":
        operator.sparse.data[7] = operator.transposed.data[7] = bad
    else:
        getattr(operator, place)[3, 1] = bad
    with pytest.raises(NumericalError) as caught:
        truncated_svd(operator, 4, generator(0, "svd"))
    assert caught.value.exit_code == 5
