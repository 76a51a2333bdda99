"""Krylov factorisations larger than the dense short cut: degenerate spectra, starts, threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from structinit_core.linalg import (
    SparsePlusLowRank,
    SparseProducts,
    generator,
    sparse_operator,
    symmetric_eigen,
    truncated_svd,
    weighted_double_centred,
)
from structinit_core.linalg.basis import Basis

Array = np.ndarray[Any, Any]
SHAPES = [(700, 400), (400, 700), (500, 500)]


def with_values(rows: int, columns: int, values: Array, seed: int = 3) -> Array:
    """A matrix of these singular values and random vectors."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((rows, len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, len(values))))[0]
    return (left * values) @ right.T


def symmetric(values: Array, size: int, seed: int = 3) -> Array:
    """A symmetric matrix of these eigenvalues, the others zero."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((size, len(values))))[0]
    return (vectors * values) @ vectors.T


def sparse(rows: int, columns: int, share: float = 0.05, seed: int = 0) -> sp.csr_array:
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(rows, columns)) * (rng.random((rows, columns)) < share)
    return sp.csr_array(dense * (1 + np.arange(rows)[:, None]) ** -0.5, dtype=np.float32)


def operator(matrix: Array, **declared: bool) -> SparsePlusLowRank:
    return sparse_operator(sp.csr_array(matrix.astype(np.float32)), **declared)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 7, 40])
def test_values_vectors_and_energy_of_a_sparse_matrix(shape: tuple[int, int], rank: int) -> None:
    matrix = sparse(*shape)
    svd = truncated_svd(sparse_operator(matrix), rank, generator(0), tolerance=1e-5)
    dense = matrix.toarray().astype(np.float64)
    values = np.linalg.svd(dense, compute_uv=False)
    assert svd.report.converged
    np.testing.assert_allclose(svd.values, values[:rank], rtol=1e-5)
    expected = (values[:rank] ** 2).sum() / (values**2).sum()
    assert svd.report.energy == pytest.approx(expected, rel=1e-4)
    for side in (svd.left, svd.right):
        np.testing.assert_allclose(side.T @ side, np.eye(rank), atol=5e-6)
    best = np.sqrt((values[rank:] ** 2).sum())
    error = np.linalg.norm(dense - (svd.left * svd.values) @ svd.right.T)
    assert error == pytest.approx(best, rel=1e-5)


def test_a_doubly_centred_operator_without_densifying_its_transpose() -> None:
    matrix = sparse(600, 450)
    masses = [np.random.default_rng(n).random(n) + 0.1 for n in matrix.shape]
    centred, _ = weighted_double_centred(matrix, *(m / m.sum() for m in masses))
    centred = centred.scaled(np.linspace(1, 2, 600), np.linspace(3, 1, 450))
    dense = (centred @ np.eye(450, dtype=np.float32)).astype(np.float64)
    assert centred.energy == pytest.approx((dense**2).sum(), rel=1e-4)
    svd = truncated_svd(centred, 12, generator(0), tolerance=1e-4)
    np.testing.assert_allclose(svd.values, np.linalg.svd(dense, compute_uv=False)[:12], rtol=1e-4)
    assert svd.report.columns < 300


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rank_above_the_numerical_one_drops_the_noise(shape: tuple[int, int]) -> None:
    svd = truncated_svd(operator(with_values(*shape, np.arange(6, 0, -1))), 20, generator(0))
    np.testing.assert_allclose(svd.values[:6], np.arange(6, 0, -1), rtol=1e-5)
    assert (svd.values[6:] < 1e-4).all()
    assert svd.report.residual < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_more_equal_values_than_a_block_has_columns(shape: tuple[int, int]) -> None:
    # Krylov alone sees 16 of the 40; the replaced directions find the others
    values = np.repeat([5.0, 3.0], 20)
    svd = truncated_svd(operator(with_values(*shape, values)), 30, generator(0))
    np.testing.assert_allclose(svd.values, values[:30], rtol=1e-4)


def test_the_identity() -> None:
    svd = truncated_svd(sparse_operator(sp.eye_array(600, format="csr")), 30, generator(0))
    np.testing.assert_allclose(svd.values, 1, rtol=1e-5)
    np.testing.assert_allclose(svd.left, svd.right, atol=1e-5)
    np.testing.assert_allclose(svd.left.T @ svd.left, np.eye(30), atol=1e-5)


@pytest.mark.parametrize("symmetry", [False, True])
def test_zeros(symmetry: bool) -> None:
    nothing = sparse_operator(sp.csr_array((500, 500), dtype=np.float32), symmetric=symmetry)
    svd = truncated_svd(nothing, 5, generator(0))
    assert svd.values.tolist() == [0.0]
    assert svd.report.residual == 0
    assert svd.report.energy == 1


@pytest.mark.parametrize("scale", [1e-12, 1e10])
@pytest.mark.parametrize("shape", SHAPES)
def test_very_different_scales(shape: tuple[int, int], scale: float) -> None:
    values = scale * 10.0 ** -np.arange(0, 8, 0.5)
    svd = truncated_svd(operator(with_values(*shape, values)), 16, generator(0), tolerance=1e-6)
    # what lies below rounding of the largest value is neither promised nor named
    np.testing.assert_allclose(svd.values[:9], values[:9], rtol=3e-2)
    np.testing.assert_allclose(svd.values[:5], values[:5], rtol=1e-4)
    assert (svd.values > 0.9e-6 * svd.values[0]).all()
    np.testing.assert_allclose(svd.left.T @ svd.left, np.eye(len(svd.values)), atol=1e-5)


def test_indefinite_eigenvalues_are_picked_by_modulus() -> None:
    spectrum = np.concatenate(([9.0, -8, 7, -6.5, -6], np.linspace(-1, 1, 300)))
    matrix = symmetric(spectrum, 450)
    eigen = symmetric_eigen(operator(matrix, symmetric=True), 5, generator(0), tolerance=1e-5)
    np.testing.assert_allclose(eigen.values, [9, -8, 7, -6.5, -6], rtol=1e-4)
    error = matrix @ eigen.vectors - eigen.vectors * eigen.values
    assert np.linalg.norm(error, axis=0).max() < 2e-4
    assert (eigen.vectors.max(axis=0) >= -eigen.vectors.min(axis=0)).all()
    svd = truncated_svd(operator(matrix, symmetric=True), 5, generator(0), tolerance=1e-5)
    np.testing.assert_allclose(svd.values, [9, 8, 7, 6.5, 6], rtol=1e-4)
    signs = (svd.left * svd.right).sum(axis=0)
    np.testing.assert_allclose(signs, [1, -1, 1, -1, -1], atol=1e-4)
    assert (svd.left.max(axis=0) >= -svd.left.min(axis=0)).all()


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_the_stated_eigen_residual_is_the_true_one(columns: int) -> None:
    matrix = symmetric(np.linspace(-1, 0.9, 400), 500)
    eigen = symmetric_eigen(
        operator(matrix, symmetric=True), 9, generator(0), columns=columns, tolerance=0
    )
    errors = np.linalg.norm(matrix @ eigen.vectors - eigen.vectors * eigen.values, axis=0)
    stated = np.array(eigen.report.residuals) * abs(eigen.values[0])
    np.testing.assert_allclose(stated, errors, rtol=1e-2, atol=1e-5)
    assert eigen.report.median_residual == np.median(eigen.report.residuals)


def test_a_small_symmetric_matrix_is_solved_exactly() -> None:
    matrix = symmetric(np.array([3.0, -4, 1]), 8)
    eigen = symmetric_eigen(operator(matrix, symmetric=True), 2, generator(0))
    np.testing.assert_allclose(eigen.values, [-4, 3], rtol=1e-6)
    with pytest.raises(ValueError, match="symmetric"):
        symmetric_eigen(operator(matrix), 2, generator(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_start_saves_products_and_its_report_is_true(shape: tuple[int, int]) -> None:
    matrix = sparse(*shape)
    cold = truncated_svd(sparse_operator(matrix), 20, generator(0), tolerance=1e-4)
    nearby = matrix.copy()
    nearby.data *= 1 + 0.01 * np.random.default_rng(1).standard_normal(nearby.nnz)
    changed = sparse_operator(nearby)
    again = truncated_svd(changed, 20, generator(1), tolerance=1e-2)
    warm = truncated_svd(changed, 20, generator(1), tolerance=1e-2, start=cold)
    assert warm.report.converged
    assert warm.report.products < again.report.products / 2
    further = truncated_svd(changed, 20, generator(1), tolerance=1e-4, start=cold)
    assert further.report.columns > 20 + 16
    for svd in (warm, further):
        forward = np.linalg.norm(nearby @ svd.right - svd.left * svd.values, axis=0)
        back = np.linalg.norm(nearby.T @ svd.left - svd.right * svd.values, axis=0)
        stated = np.array(svd.report.residuals) * svd.values[0]
        np.testing.assert_allclose(np.maximum(forward, back), stated, rtol=0.02, atol=2e-5)
    exact = np.linalg.svd(nearby.toarray(), compute_uv=False)[:20]
    np.testing.assert_allclose(further.values, exact, rtol=1e-5)


def test_a_start_for_eigenpairs_is_true_too() -> None:
    matrix = symmetric(np.concatenate((np.linspace(-2, 2, 30), np.linspace(-1, 1, 300))), 500)
    declared = operator(matrix, symmetric=True)
    cold = symmetric_eigen(declared, 24, generator(0), tolerance=1e-2)
    warm = symmetric_eigen(declared, 24, generator(1), tolerance=1e-4, start=cold)
    assert warm.report.converged
    errors = np.linalg.norm(matrix @ warm.vectors - warm.vectors * warm.values, axis=0)
    stated = np.array(warm.report.residuals) * abs(warm.values[0])
    np.testing.assert_allclose(stated, errors, rtol=0.05, atol=1e-5)
    instant = symmetric_eigen(declared, 24, generator(1), tolerance=1e-2, start=warm)
    assert instant.report.products == 24 + 16


def test_a_start_of_another_size_is_refused() -> None:
    cold = truncated_svd(sparse_operator(sparse(500, 400)), 3, generator(0))
    with pytest.raises(ValueError, match="rows"):
        truncated_svd(sparse_operator(sparse(500, 410)), 3, generator(0), start=cold)


@pytest.mark.parametrize(("tolerance", "sided"), [(5e-4, True), (4e-4, False)])
def test_a_coarse_tolerance_leaves_one_side_to_the_recurrence(
    tolerance: float, sided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One-sided orthogonalisation gives vectors and residuals as good as were asked for."""
    passes = []
    whole_pass = Basis.project_out

    def watched(self: Basis, block: torch.Tensor, *, whole: bool = True) -> torch.Tensor:
        passes.append(whole)
        return whole_pass(self, block, whole=whole)

    monkeypatch.setattr(Basis, "project_out", watched)
    matrix = sparse(4000, 2500, 0.004)
    svd = truncated_svd(sparse_operator(matrix), 30, generator(0, "x"), tolerance=tolerance)
    assert (False in passes) == sided
    left, right = svd.left.astype(np.float64), svd.right.astype(np.float64)
    for side in (left, right):
        assert np.abs(side.T @ side - np.eye(30)).max() < 2e-5
    true = np.linalg.norm(matrix @ right - left * svd.values, axis=0) / svd.values[0]
    assert true.max() < tolerance * 1.1
    assert svd.report.converged


def test_energy_stops_where_residuals_would_not() -> None:
    matrix = operator(with_values(600, 500, 0.995 ** np.arange(400)))
    by_energy = truncated_svd(matrix, 20, generator(0), tolerance=0, energy=1e-2).report
    to_the_cap = truncated_svd(matrix, 20, generator(0), tolerance=0, columns=400).report
    assert by_energy.columns < to_the_cap.columns
    assert by_energy.energy == pytest.approx(to_the_cap.energy, rel=2e-2)


def test_checks_come_closer_where_the_residual_foretells_the_end() -> None:
    # at a fixed pace of 12 % a basis of 9 % fewer columns would have converged too
    matrix = sparse_operator(sp.csr_array(sp.diags_array(0.999 ** np.arange(3000))), symmetric=True)
    found = symmetric_eigen(matrix, 100, generator(0), tolerance=1e-2).report
    assert found.converged
    fewer = int(found.columns / 1.09)
    short = symmetric_eigen(matrix, 100, generator(0), tolerance=1e-2, columns=fewer).report
    assert not short.converged


def test_threads_of_the_kernel_change_no_bit() -> None:
    matrix = sparse_operator(sparse(500, 400))
    most, results = numba.get_num_threads(), []
    try:
        for threads in {1, most}:
            numba.set_num_threads(threads)
            results.append(truncated_svd(matrix, 10, generator(0)))
    finally:
        numba.set_num_threads(most)
    for name in ("left", "values", "right"):
        for other in results[1:]:
            np.testing.assert_array_equal(getattr(results[0], name), getattr(other, name))


@pytest.mark.parametrize("symmetry", [False, True])
def test_torch_products_give_the_same_factors(symmetry: bool) -> None:
    matrix = sparse(500, 500)
    matrix = sp.csr_array(matrix + matrix.T) if symmetry else matrix
    ours = sparse_operator(matrix, symmetric=symmetry)
    portable = SparseProducts(ours, torch.device("cpu"), own_kernel=False)
    one, other = (truncated_svd(m, 8, generator(0), tolerance=1e-5) for m in (ours, portable))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5)
    np.testing.assert_allclose(one.left, other.left, atol=2e-3)
    assert one.report.products == other.report.products
