"""Bases that LayerNorm's mean removal does not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.linalg import basis_without_mean, generator


@pytest.mark.parametrize("width", [1, 2, 3, 16, 129])
def test_orthonormal_and_without_mean(width: int) -> None:
    basis = basis_without_mean(width, generator(0, "basis"))
    assert basis.shape == (width, width - 1)
    assert basis.dtype == np.float64
    np.testing.assert_allclose(basis.T @ basis, np.eye(width - 1), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=0), 0, atol=1e-12)


def test_every_vector_without_mean_is_in_the_span() -> None:
    basis = basis_without_mean(20, generator(0, "basis"))
    vector = np.random.default_rng(0).standard_normal(20)
    vector -= vector.mean()
    np.testing.assert_allclose(basis @ (basis.T @ vector), vector, atol=1e-12)


def test_layer_norm_only_rescales_what_is_written() -> None:
    basis = basis_without_mean(32, generator(0, "basis"))
    written = torch.from_numpy(basis @ np.random.default_rng(1).standard_normal(31))
    normed = torch.nn.functional.layer_norm(written, (32,), eps=0.0)
    torch.testing.assert_close(normed, written * (32**0.5 / written.norm()))


def test_decided_by_the_generator() -> None:
    first, again, other = (
        basis_without_mean(12, generator(0, name)) for name in ("one", "one", "two")
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_no_direction_is_preferred() -> None:
    # Haar: the mean square of every coordinate is that of the projection, 1 − 1/width
    columns = np.stack(
        [basis_without_mean(4, generator(0, str(draw)))[:, 0] for draw in range(2000)]
    )
    second_moment = columns.T @ columns / len(columns)
    np.testing.assert_allclose(second_moment, (np.eye(4) - 1 / 4) / 3, atol=0.03)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=0.05)
