"""Products of long rows with a narrow block against float64: tails of every size, threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from structinit_core.linalg import pages, panels


@pytest.mark.parametrize("count", [0, 1, 7, 8, 31, 33, 130])
@pytest.mark.parametrize("length", [1, 5, 256, 300, 2049])
def test_dots_and_what_remains(count: int, length: int) -> None:
    rng = np.random.default_rng(count + length)
    rows = rng.standard_normal((count, length)).astype(np.float32)
    block = rng.standard_normal((length, 16)).astype(np.float32)
    exact = rows.astype(np.float64) @ block
    found = panels.dots(rows, block)
    np.testing.assert_allclose(found, exact, atol=1e-6 * length)
    remaining = block.copy()
    panels.subtract(rows, found, remaining)
    expected = block - rows.T.astype(np.float64) @ exact
    np.testing.assert_allclose(remaining, expected, atol=1e-6 * (1 + length * count))


def test_threads_change_no_bit() -> None:
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        pytest.skip("one thread is all there is")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 5000)).astype(np.float32)
    block = rng.standard_normal((5000, 16)).astype(np.float32)
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, most + 1):
            numba.set_num_threads(threads)
            remaining = block.copy()
            panels.subtract(rows, panels.dots(rows, block), remaining)
            results.append(remaining)
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("shape", [(0, 4), (3, 5), (600, 500), (1200, 1000)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_large_arrays_begin_on_a_large_page(shape: tuple[int, int], kind: type) -> None:
    array = pages.empty(shape, kind)
    array[...] = 1
    assert array.shape == shape
    assert array.dtype == kind
    assert array.flags.c_contiguous
    assert array.nbytes < 1 << 20 or array.ctypes.data % (1 << 21) == 0
