"""The sparse × dense kernel against scipy: widths, types, empty rows, threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
import scipy.sparse as sp

from structinit_core.linalg import Multiplier, multiply

Array = np.ndarray[Any, Any]


def draw(rows: int, columns: int, kind: type, index: type = np.int32) -> sp.csr_array:
    rng = np.random.default_rng(rows + columns)
    dense = rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < 0.2)
    dense[: rows // 3] *= rng.random((rows // 3, 1)) < 0.5
    matrix = sp.csr_array(dense.astype(kind))
    matrix.indptr, matrix.indices = matrix.indptr.astype(index), matrix.indices.astype(index)
    return matrix


@pytest.mark.parametrize("width", [0, 1, 5, 16, 17, 32, 33, 64, 65, 96, 130])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_equal_to_scipy(width: int, kind: type, index: type) -> None:
    matrix = draw(90, 70, kind, index)
    block = np.random.default_rng(0).standard_normal((70, width)).astype(kind)
    product = multiply(matrix, block)
    assert product.dtype == kind
    assert product.shape == (90, width)
    tolerance = 1e-5 if kind is np.float32 else 1e-13
    np.testing.assert_allclose(product, matrix.toarray() @ block, atol=tolerance)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (3, 900), (900, 3), (0, 5), (5, 0)])
def test_odd_shapes(shape: tuple[int, int]) -> None:
    matrix = draw(*shape, np.float32)
    block = np.random.default_rng(0).standard_normal((shape[1], 20)).astype(np.float32)
    np.testing.assert_allclose(multiply(matrix, block), matrix.toarray() @ block, atol=1e-4)


def test_no_entries_at_all() -> None:
    product = multiply(sp.csr_array((7, 4), dtype=np.float32), np.ones((4, 3), np.float32))
    assert product.tolist() == [[0.0] * 3] * 7


def test_columns_of_any_order_and_type_in_memory() -> None:
    matrix = draw(50, 60, np.float32)
    block = np.random.default_rng(0).standard_normal((16, 60))
    expected = multiply(matrix, np.ascontiguousarray(block.T, np.float32))
    np.testing.assert_array_equal(multiply(matrix, block.T), expected)
    doubles = np.ones((60, 32), np.float32)
    np.testing.assert_array_equal(
        multiply(matrix, doubles[:, ::2]), multiply(matrix, doubles[:, :16])
    )


def test_entries_stored_twice_and_out_of_order_are_summed() -> None:
    parts = np.array([2.0, 3, 5, 7], np.float32), np.array([2, 0, 2, 1]), np.array([0, 3, 4])
    matrix = sp.csr_array(parts, shape=(2, 3))
    np.testing.assert_array_equal(
        multiply(matrix, np.eye(3, dtype=np.float32)), [[3, 0, 7], [0, 7, 0]]
    )


def test_a_block_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="6 rows"):
        multiply(draw(5, 7, np.float32), np.ones((6, 2), np.float32))


@pytest.mark.parametrize("width", [16, 48, 100])
def test_threads_change_no_bit(width: int) -> None:
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        pytest.skip("one thread is all there is")
    matrix = draw(3000, 700, np.float32)
    block = np.random.default_rng(0).standard_normal((700, width)).astype(np.float32)
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, most + 1):
            numba.set_num_threads(threads)
            results.append(multiply(matrix, block))
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_a_column_does_not_depend_on_those_beside_it() -> None:
    matrix = draw(400, 300, np.float32)
    block = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    wide, narrow = multiply(matrix, block), multiply(matrix, block[:, :16])
    np.testing.assert_allclose(wide[:, :16], narrow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("columns", [1 << 16, (1 << 16) + 1])
def test_narrow_indices_reach_the_last_column(columns: int) -> None:
    last = np.array([0, columns - 1, columns // 2, columns - 1])
    parts = np.array([2.0, 3, 5, 7], np.float32), last, np.array([0, 2, 4])
    matrix = sp.csr_array(parts, shape=(2, columns))
    block = np.random.default_rng(0).standard_normal((columns, 20)).astype(np.float32)
    product = Multiplier(matrix)
    np.testing.assert_allclose(product(block), matrix @ block, rtol=1e-6)
    np.testing.assert_array_equal(product(block), multiply(matrix, block))
