"""A sparse matrix on disk: mapped without a copy, refused where it is inconsistent."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from structinit_core.artifact import index_dtype, load_csr, save_array
from structinit_core.errors import IncompatibleError


def save(directory: Path, indptr, indices, data, index="int32", value="uint32") -> None:
    np.save(directory / "m.indptr.npy", np.array(indptr, index))
    np.save(directory / "m.indices.npy", np.array(indices, index))
    np.save(directory / "m.data.npy", np.array(data, value))


def is_mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("value", ["uint32", "uint64"])
def test_no_array_is_copied_into_memory(tmp_path: Path, index: str, value: str) -> None:
    matrix = sp.random_array((40, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    matrix.sort_indices()
    counts = np.arange(1, matrix.nnz + 1)
    save(tmp_path, matrix.indptr, matrix.indices, counts, index, value)
    loaded = load_csr(tmp_path, "m", (40, 30))
    assert all(is_mapped(part) for part in (loaded.indptr, loaded.indices, loaded.data))
    assert (loaded.indices.dtype, loaded.indptr.dtype, loaded.dtype) == (index, index, value)
    expected = sp.csr_array((counts, matrix.indices, matrix.indptr), shape=(40, 30))
    np.testing.assert_array_equal(loaded.toarray(), expected.toarray())


def test_a_row_may_begin_left_of_where_the_one_before_ended(tmp_path: Path) -> None:
    save(tmp_path, [0, 0, 2, 2, 3, 5, 5], [2, 3, 1, 1, 3], [1, 2, 3, 4, 5])
    loaded = load_csr(tmp_path, "m", (6, 4))
    assert loaded.toarray()[[1, 3, 4]].tolist() == [[0, 0, 1, 2], [0, 3, 0, 0], [0, 4, 0, 5]]


def test_an_empty_matrix_has_its_shape(tmp_path: Path) -> None:
    save(tmp_path, [0, 0, 0], [], [])
    loaded = load_csr(tmp_path, "m", (2, 5))
    assert loaded.shape == (2, 5)
    assert loaded.nnz == 0


@pytest.mark.parametrize(
    ("indptr", "indices", "data"),
    [
        pytest.param([0, 2, 1, 3], [0, 1, 2], [1, 1, 1], id="decreasing rows"),
        # 32-bit differences of these wrap around and look increasing
        pytest.param([0, 2**31 - 1, -2, 3], [0, 1, 2], [1, 1, 1], id="wrapping rows"),
        pytest.param([1, 2, 2, 3], [0, 1, 2], [1, 1, 1], id="rows start late"),
        pytest.param([0, 1, 2, 2], [0, 1, 2], [1, 1, 1], id="rows end early"),
        pytest.param([0, 1, 2, 4], [0, 1, 2], [1, 1, 1], id="rows end late"),
        pytest.param([0, 3], [0, 1, 2], [1, 1, 1], id="too few rows"),
        pytest.param([], [], [], id="no row pointer"),
        pytest.param([0, 1, 2, 3], [0, 1, 4], [1, 1, 1], id="column out of range"),
        pytest.param([0, 1, 2, 3], [0, -1, 2], [1, 1, 1], id="negative column"),
        pytest.param([0, 3, 3, 3], [0, 2, 1], [1, 1, 1], id="columns out of order"),
        pytest.param([0, 3, 3, 3], [0, 1, 1], [1, 1, 1], id="column twice"),
        pytest.param([0, 1, 2, 3], [0, 1, 2], [1, 1], id="fewer values than columns"),
        pytest.param([[0, 1, 2, 3]], [0, 1, 2], [1, 1, 1], id="two-dimensional rows"),
        pytest.param([0, 1, 2, 3], [[0], [1], [2]], [1, 1, 1], id="two-dimensional columns"),
        pytest.param([0, 1, 2, 3], [0, 1, 2], [[1], [1], [1]], id="two-dimensional values"),
        pytest.param([0, 1, 2, 3], [0, 1, 2], 1, id="scalar values"),
        pytest.param(0, [0, 1, 2], [1, 1, 1], id="scalar rows"),
    ],
)
def test_arrays_that_form_no_matrix_are_refused(tmp_path: Path, indptr, indices, data) -> None:
    save(tmp_path, indptr, indices, data)
    with pytest.raises(IncompatibleError, match=r"m[ .:]"):
        load_csr(tmp_path, "m", (3, 4))


def test_two_index_widths_are_refused(tmp_path: Path) -> None:
    save(tmp_path, [0, 1], [0], [1])
    save_array(tmp_path / "m.indptr.npy", np.array([0, 1], np.int64))
    with pytest.raises(IncompatibleError):
        load_csr(tmp_path, "m", (1, 1))


@pytest.mark.parametrize(("part", "dtype"), [("indices", "uint32"), ("data", "float64")])
def test_other_dtypes_are_refused(tmp_path: Path, part: str, dtype: str) -> None:
    save(tmp_path, [0, 1], [0], [1])
    save_array(tmp_path / f"m.{part}.npy", np.array([0], dtype))
    with pytest.raises(IncompatibleError, match=rf"m\.{part}\.npy.*{dtype}"):
        load_csr(tmp_path, "m", (1, 1))


@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_a_missing_array_is_named(tmp_path: Path, part: str) -> None:
    save(tmp_path, [0, 1], [0], [1])
    (tmp_path / f"m.{part}.npy").unlink()
    with pytest.raises(IncompatibleError, match=rf"m\.{part}\.npy"):
        load_csr(tmp_path, "m", (1, 1))


def test_one_index_width_holds_both_columns_and_positions() -> None:
    last = 2**31 - 1
    assert index_dtype(last, last) == np.int32
    assert index_dtype(last + 1, 0) == index_dtype(0, last + 1) == np.int64
