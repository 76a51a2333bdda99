"""Bases that LayerNorm's mean removal does not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from structinit_core.linalg import (
    basis_without_mean,
    generator,
    haar,
    orthogonal,
    structured_orthogonal,
)


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


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (2, 2), (7, 7), (64, 64), (300, 40), (40, 300), (5, 1), (270, 270), (300, 129)],
)
@pytest.mark.parametrize("draw", [haar, structured_orthogonal])
def test_rows_or_columns_are_orthonormal(draw: Any, shape: tuple[int, int]) -> None:
    matrix = draw(*shape, generator(0, "draw"))
    assert tuple(matrix.shape) == shape
    assert matrix.dtype == torch.float32
    assert matrix.is_contiguous()
    short = matrix if shape[0] <= shape[1] else matrix.T
    torch.testing.assert_close(short @ short.T, torch.eye(len(short)), atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix, draw(*shape, generator(0, "draw")), atol=0, rtol=0)
    if max(shape) > 5:
        assert (matrix - draw(*shape, generator(1, "draw"))).abs().max() > 0.1


@pytest.mark.parametrize("panel", [1, 2, 128])
def test_haar_equals_the_unique_qr_of_its_gaussian_in_distribution(
    panel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # moments of Haar: E q² = 1/n, E q⁴ = 3/n(n+2), E trace = 0, E trace² = 1, half det −1
    monkeypatch.setattr(orthogonal, "_PANEL", panel)
    size, draws = 3, 6000
    random = generator(0, "haar")
    matrices = torch.stack([haar(size, size, random) for _ in range(draws)]).double()
    traces = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)
    spread = 5 / draws**0.5
    for place in np.ndindex(size, size):
        entry = matrices[:, place[0], place[1]]
        assert abs(float(entry.mean())) < spread
        assert abs(float((entry**2).mean()) - 1 / 3) < spread
        assert abs(float((entry**4).mean()) - 3 / 15) < spread
    assert abs(float(traces.mean())) < spread
    assert abs(float((traces**2).mean()) - 1) < 2 * spread
    assert abs(float((torch.linalg.det(matrices) < 0).double().mean()) - 0.5) < spread


def test_structured_entries_look_gaussian() -> None:
    entries = structured_orthogonal(512, 512, generator(0, "structured")) * 512**0.5
    assert abs(float(entries.mean())) < 0.02
    assert float((entries**4).mean()) == pytest.approx(3, abs=0.15)
    assert float(entries.abs().max()) < 7
