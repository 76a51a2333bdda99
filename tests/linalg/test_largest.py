"""Eigenvalues from the largest down, where others are larger by modulus."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from structinit_core.linalg import generator, sparse_operator, symmetric_eigen


@pytest.mark.parametrize("size", [40, 400])
def test_the_largest_eigenvalues_are_found_among_larger_negative_ones(size: int) -> None:
    """By modulus, none of them would be: written out for the small one, else by Lanczos."""
    draw = np.random.default_rng(0)
    basis, _ = np.linalg.qr(draw.standard_normal((size, size)))
    values = np.concatenate((-100 - draw.random(size // 2), np.linspace(0.1, 9, size - size // 2)))
    matrix = sparse_operator(sp.csr_array((basis * values) @ basis.T), symmetric=True)
    largest = symmetric_eigen(matrix, 5, generator(0, "test"), tolerance=1e-5, positive=True)
    assert largest.values == pytest.approx(np.sort(values)[::-1][:5], rel=1e-2)
    by_modulus = symmetric_eigen(matrix, 5, generator(0, "test"))
    assert (by_modulus.values < -100).all()
