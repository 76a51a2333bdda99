"""Ridge readouts added up over depth, and the one temperature that makes scores a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from structinit_core.errors import NumericalError

_ROWS_AT_ONCE = 512
_ITERATIONS = 50
_CLOSE = 1e-6

Labelled = Callable[[], Iterable[tuple[Sequence[Tensor], Tensor]]]
"""Blocks of the features of every depth, (n, d) each, with int64 labels (n,)."""


@dataclass(frozen=True)
class Readout:
    """Logits = temperature · Σ over depths of features · map.

    maps: one (d, C) a depth, float32. temperature: the factor, a float32 scalar.
    """

    maps: tuple[Tensor, ...]
    temperature: Tensor

    def scores(self, features: Sequence[Tensor]) -> Tensor:
        """The regression's estimate of the one-hot label: (n, C)."""
        parts = [rows @ matrix for rows, matrix in zip(features, self.maps, strict=False)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def logits(self, features: Sequence[Tensor]) -> Tensor:
        """(n, C), from the features of as many depths as there are maps, or more."""
        return self.temperature * self.scores(features)

    def loss(self, features: Sequence[Tensor], labels: Tensor) -> float:
        """Summed cross-entropy of ``labels`` in nats."""
        total = 0.0
        for low in range(0, len(labels), _ROWS_AT_ONCE):
            rows = slice(low, low + _ROWS_AT_ONCE)
            logits = self.logits([part[rows] for part in features])
            total += float(torch.nn.functional.cross_entropy(logits, labels[rows], reduction="sum"))
        return total

    def upto(self, depths: int) -> Readout:
        """The readouts of the first ``depths`` depths."""
        return replace(self, maps=self.maps[:depths])


def fit_readout(blocks: Labelled, depths: int, classes: int, *, ridge: float) -> Readout:
    """The original pipeline's readout of the first ``depths`` depths, temperature not yet fitted.

    B_ℓ = (HᵀH + ρI)⁻¹ Hᵀ(Y − Ŷ) with ρ = ``ridge`` on Gram matrices that are not divided by n,
    and Ŷ what the depths before predict; no bias. Solved in float64 from one reading: memory
    O((depths·d)² + depths·d·C), on the CPU. Source: seed 002, ``ridge_regression``.

    Raises:
        NumericalError: no rows, or features that are not finite.
    """
    gram = labelled = None
    width = device = None
    for features, labels in blocks():
        rows = torch.cat(list(features[:depths]), dim=1)
        width, device = features[0].shape[1], rows.device
        stacked = rows.double().cpu()
        if gram is None or labelled is None:
            gram = stacked.new_zeros((stacked.shape[1],) * 2)
            labelled = stacked.new_zeros((classes, stacked.shape[1]))
        gram += stacked.T @ stacked
        labelled.index_add_(0, labels.cpu(), stacked)
    if gram is None or labelled is None or width is None:
        raise NumericalError("a readout cannot be fitted without rows")
    if not torch.isfinite(gram).all():
        raise NumericalError("the features of the readout are not finite")
    left, maps = labelled.T.contiguous(), []
    eye = torch.eye(width, dtype=gram.dtype)
    for depth in range(depths):
        own = slice(depth * width, (depth + 1) * width)
        solved = torch.linalg.solve(gram[own, own] + ridge * eye, left[own])
        left -= gram[:, own] @ solved
        maps.append(solved.float().to(device))
    return Readout(tuple(maps), torch.ones((), device=device))


def calibrate(readout: Readout, features: Sequence[Tensor], labels: Tensor) -> Readout:
    """``readout`` with the temperature that predicts ``labels`` best from these features.

    The loss is convex in the factor; safeguarded Newton steps in one unknown, where the source
    runs L-BFGS on its logarithm. Memory: 512 rows of logits.
    """
    low, high, factor = 0.0, float("inf"), 1.0
    for _ in range(_ITERATIONS):
        slope, curvature = _slope(readout, features, labels, factor)
        low, high = (factor, high) if slope < 0 else (low, factor)
        step = factor - slope / curvature if curvature > 0 else factor
        if not low < step < high:
            step = 2 * factor if high == float("inf") else (low + high) / 2
        step = min(step, 8 * factor)
        if abs(step - factor) <= _CLOSE * factor:
            break
        factor = step
    return replace(readout, temperature=torch.full_like(readout.temperature, factor))


def _slope(
    readout: Readout, features: Sequence[Tensor], labels: Tensor, factor: float
) -> tuple[float, float]:
    """First and second derivative of the mean loss by the factor."""
    first = second = 0.0
    for low in range(0, len(labels), _ROWS_AT_ONCE):
        rows = slice(low, low + _ROWS_AT_ONCE)
        scores = readout.scores([part[rows] for part in features]).double()
        chances = torch.softmax(factor * scores, dim=1)
        mean = (chances * scores).sum(1)
        first += float((mean - scores.gather(1, labels[rows, None])[:, 0]).sum())
        second += float(((chances * scores.square()).sum(1) - mean.square()).sum())
    return first / len(labels), second / len(labels)
