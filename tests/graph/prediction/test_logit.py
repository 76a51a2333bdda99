"""Conditional logit against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from structinit_core.errors import NumericalError
from structinit_core.graph.prediction.logit import Choices, newton
from structinit_core.linalg import generator

QUERIES = np.array([0, 3, 3, 8])
COPIES = np.array([1, 2, 1, 1, 3, 1, 1, 1.0])


def choices(rest: float) -> tuple[Choices, np.ndarray]:
    """Three queries with three, no and five candidates of four features; the dense rows."""
    dense = generator(0, "rows").normal(size=(8, 4)).astype(np.float32)
    dense[generator(0, "zero").random((8, 4)) < 0.4] = 0
    row, feature = np.nonzero(dense)
    return Choices(
        queries=QUERIES,
        rows=np.searchsorted(row, np.arange(9)).astype(np.int64),
        copies=COPIES,
        feature=feature.astype(np.int32),
        value=dense[row, feature],
        rest=np.full(3, rest),
        times=np.array([2.0, 1.0, 3.0]),
        chosen=(2 * dense[0] + 2 * dense[4] + dense[7]).astype(np.float64),
    ), dense.astype(np.float64)


@pytest.mark.parametrize("rest", [0.3, 1e-9])
def test_sums_are_those_of_the_dense_rows(rest: float) -> None:
    sparse, dense = choices(rest)
    weights = np.array([0.3, -1.0, 2.0, 0.1])

    def loss(at: np.ndarray) -> float:
        parts = zip(QUERIES[:-1], QUERIES[1:], sparse.times, strict=True)
        sums = [
            times * np.log(rest + COPIES[a:b] @ np.exp(dense[a:b] @ at)) for a, b, times in parts
        ]
        return sum(sums) - at @ sparse.chosen

    value, slope, curve = sparse.sums(weights)
    assert value == pytest.approx(loss(weights))
    steps = 1e-5 * np.eye(4)
    slopes = [(loss(weights + step) - loss(weights - step)) / 2e-5 for step in steps]
    assert slope == pytest.approx(slopes, abs=1e-6)
    curves = [(sparse.sums(weights + s)[1] - sparse.sums(weights - s)[1]) / 2e-5 for s in steps]
    assert curve == pytest.approx(np.array(curves), abs=1e-6)
    assert np.array_equal(curve, curve.T)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 100.0])
def test_nothing_is_better_nearby(ridge: float) -> None:
    sparse, _ = choices(0.3)
    weights = newton(sparse, ridge)
    slope = sparse.sums(weights)[1] + ridge * weights
    assert np.abs(slope).max() < 1e-2 * np.abs(sparse.sums(np.zeros(4))[1]).max()


def test_what_is_not_finite_is_refused() -> None:
    sparse, _ = choices(0.3)
    sparse.chosen[0] = np.nan
    with pytest.raises(NumericalError, match="not finite"):
        newton(sparse)
