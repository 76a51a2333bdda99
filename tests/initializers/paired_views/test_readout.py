"""Ridge readouts over depth, and their temperature."""

from __future__ import annotations

import pytest
import torch

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views import Readout, calibrate, fit_readout


@pytest.fixture
def data() -> tuple[list[torch.Tensor], torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 6, (300,), generator=draw)
    means = torch.randn(6, 4, generator=draw)
    deep = [means[labels] + torch.randn(300, 4, generator=draw) for _ in range(3)]
    return deep, labels


def test_each_depth_fits_what_the_depths_before_leave(data) -> None:
    features, labels = data
    blocks = [
        ([part[low : low + 70] for part in features], labels[low : low + 70])
        for low in range(0, 300, 70)
    ]
    readout = fit_readout(lambda: blocks, 3, 6, ridge=100.0)
    left = torch.nn.functional.one_hot(labels, 6).double()
    for rows, found in zip(features, readout.maps, strict=True):
        rows = rows.double()
        gram = rows.T @ rows + 100 * torch.eye(4, dtype=torch.float64)
        expected = torch.linalg.inv(gram) @ rows.T @ left
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
        left = left - rows @ expected


def test_the_temperature_is_the_best_one(data) -> None:
    features, labels = data
    readout = fit_readout(lambda: [(features, labels)], 3, 6, ridge=100.0)
    fitted = calibrate(readout, features, labels)
    assert float(fitted.temperature) > 1
    least = fitted.loss(features, labels)
    for factor in (0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0, 10.0):
        other = Readout(readout.maps, fitted.temperature * factor)
        assert other.loss(features, labels) > least


def test_a_readout_that_points_away_is_turned_off(data) -> None:
    features, labels = data
    readout = fit_readout(lambda: [(features, labels)], 3, 6, ridge=100.0)
    away = Readout(tuple(-part for part in readout.maps), readout.temperature)
    assert 0 <= float(calibrate(away, features, labels).temperature) < 1e-6


def test_without_rows_there_is_none() -> None:
    with pytest.raises(NumericalError, match="without rows"):
        fit_readout(list, 1, 4, ridge=1.0)
