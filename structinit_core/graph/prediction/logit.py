"""Conditional logit by Newton's method: which of a query's candidates is the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import NumericalError

Array = NDArray[Any]
ITERATIONS, PRECISION = 30, 1e-6


@dataclass(frozen=True, eq=False)
class Choices:
    """Queries with their candidates as rows of a sparse matrix over F features.

    queries: int64 (n + 1), the rows of each query; rows: int64 (m + 1), the entries of each row;
    copies: float64 (m,), for how many candidates a row stands;
    feature: int32, value: float32, the entries. rest: float64 (n,), what exp of the scores of
    everything that has no row adds to the sum. times: float64 (n,), how often each query was asked.
    chosen: float64 (F,), the sum of the features of all objects chosen.
    """

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    copies: NDArray[np.float64]
    feature: NDArray[np.int32]
    value: NDArray[np.float32]
    rest: NDArray[np.float64]
    times: NDArray[np.float64]
    chosen: NDArray[np.float64]

    def sums(self, weights: Array, *, curved: bool = True) -> tuple[float, Array, Array]:
        """Negative log-likelihood, its gradient (F,) and its Hessian (F, F), or zeros for it."""
        rows = (self.queries, self.rows, self.copies)
        entries = (*rows, self.feature, self.value, self.rest, self.times)
        normalisers, gradient, hessian = _sums(*entries, weights, curved)
        hessian += np.tril(hessian, -1).T
        return float(normalisers - weights @ self.chosen), gradient - self.chosen, hessian


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sums(
    queries: Array, rows: Array, copies: Array, feature: Array, value: Array,
    rest: Array, times: Array, weights: Array, curved: bool,
) -> tuple[float, Array, Array]:  # fmt: skip
    features = len(weights)
    total, gradient = 0.0, np.zeros(features)
    hessian, mean = np.zeros((features, features)), np.zeros(features)
    scores = np.zeros(max(1, np.max(np.diff(queries)) if len(queries) > 1 else 1))
    for query in range(len(queries) - 1):
        first, last, n = queries[query], queries[query + 1], times[query]
        top = np.log(rest[query]) if rest[query] > 0 else -np.inf
        for row in range(first, last):
            score = 0.0
            for at in range(rows[row], rows[row + 1]):
                score += weights[feature[at]] * value[at]
            scores[row - first] = score
            top = max(top, score)
        normaliser = rest[query] * np.exp(-top)
        for row in range(last - first):
            scores[row] = copies[first + row] * np.exp(scores[row] - top)
            normaliser += scores[row]
        total += n * (np.log(normaliser) + top)
        mean[:] = 0
        for row in range(first, last):
            share = scores[row - first] / normaliser
            for at in range(rows[row], rows[row + 1]):
                part = share * value[at]
                mean[feature[at]] += part
                if curved:
                    for other in range(rows[row], at + 1):
                        i, j = feature[at], feature[other]
                        hessian[max(i, j), min(i, j)] += n * part * value[other]
        for i in range(features):
            gradient[i] += n * mean[i]
            if curved and mean[i] != 0:
                for j in range(i + 1):
                    hessian[i, j] -= n * mean[i] * mean[j]
    return total, gradient, hessian


def newton(choices: Choices, ridge: float = 1.0) -> NDArray[np.float64]:
    """The weights (F,) of least negative log-likelihood + ridge/2·‖w‖²: float64.

    The sum is strictly convex: Newton steps from 0, each halved until it lessens the sum
    (Armijo), until one gains less than a millionth. Time O(entries · entries a row) a step.
    Raises :class:`NumericalError` if a weight is not finite.
    """
    weights = np.zeros(len(choices.chosen))
    identity = ridge * np.eye(len(weights))
    for _ in range(ITERATIONS):
        loss, slope, hessian = choices.sums(weights)
        loss += _penalty(weights, ridge)
        slope = slope + ridge * weights
        if not np.isfinite(slope).all():
            raise NumericalError(
                "the weights of paths are not finite", hint="a larger ridge keeps them small"
            )
        step = np.linalg.solve(hessian + identity, -slope)
        size = 1.0
        while size > PRECISION:
            trial = weights + size * step
            after = choices.sums(trial, curved=False)[0] + _penalty(trial, ridge)
            if after <= loss + 1e-4 * size * float(slope @ step):
                break
            size /= 2
        else:
            break
        weights = trial
        if loss - after < PRECISION * abs(loss):
            break
    return weights


def _penalty(weights: Array, ridge: float) -> float:
    """The ridge/2·‖w‖²."""
    return ridge / 2 * float(weights @ weights)
