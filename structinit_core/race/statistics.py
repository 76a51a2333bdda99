"""Means over seeds, of numbers, curves and probes; arrivals and lost leads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from structinit_core.model import Bucket, Induction
from structinit_core.race.record import Probe, RunRecord
from structinit_core.race.result import BucketChange, Curve, Estimate

_CONFIDENCE = 0.95


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of one value a seed, with its two-sided 95 % Student t interval.

    One value has no interval. Equal values have an interval of no width.

    Raises:
        ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError("a mean needs at least one value")
    sample = np.asarray(values, dtype=np.float64)
    middle, n = float(sample.mean()), len(sample)
    if n == 1:
        return Estimate(mean=middle, n=1)
    quantile = float(stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1))
    half = quantile * float(sample.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean=middle, low=middle - half, high=middle + half, n=n)


def paired(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Mean of a − b with its interval; ``a[i]`` and ``b[i]`` come from the same seed.

    Raises:
        ValueError: no pairs, or different lengths.
    """
    return estimate([x - y for x, y in zip(a, b, strict=True)])


def excludes_zero(value: Estimate | None) -> bool:
    """Whether there is an interval and it lies wholly on one side of zero."""
    if value is None or value.low is None or value.high is None:
        return False
    return value.low > 0 or value.high < 0


def arrival_step(steps: Sequence[int], losses: Sequence[float], target: float) -> float | None:
    """First step at which the loss is at or below ``target``, or ``None`` if it never is.

    Between two evaluated steps the loss is taken as a straight line. A curve that begins at
    the target arrives at its first evaluated step, which is 0.0 for a whole curve. The first
    passage counts even if the loss rises again later.
    """
    for i, (step, loss) in enumerate(zip(steps, losses, strict=True)):
        if loss > target:
            continue
        if i == 0 or loss == target:
            return float(step)
        before, above = steps[i - 1], losses[i - 1]
        return before + (step - before) * (above - target) / (above - loss)
    return None


def crossover(steps: Sequence[int], difference: Sequence[float]) -> int | None:
    """First evaluated step after the last lead, or ``None`` if no lead was lost.

    ``difference`` is the mean paired loss of arm − baseline; a lead is a difference strictly
    below zero, so curves that start or stay equal never lead. An arm that leads at its last
    step has lost nothing, however often the curves crossed; where noise makes the sign
    flicker, only the last change counts. A mean below zero by noise alone is a lead here:
    whether the lead was more than noise is for an interval to say.
    """
    leads = [i for i, value in enumerate(difference) if value < 0]
    if not leads or leads[-1] + 1 == len(difference):
        return None
    return steps[leads[-1] + 1]


@dataclass(frozen=True)
class Table:
    """Curves of several seeds (rows) at the steps common to all of them, ascending."""

    steps: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]

    @classmethod
    def of(
        cls, curves: Sequence[Mapping[int, float]], minus: Sequence[Mapping[int, float]] = ()
    ) -> Table:
        """The common part of curves from step to loss, less a curve each if given.

        Raises:
            ValueError: no curves, no step common to them, or not as many to subtract.
        """
        steps = sorted(set(curves[0]).intersection(*curves, *minus)) if curves else []
        if not steps:
            raise ValueError("curves without a common step have no mean")
        zeros = [dict.fromkeys(steps, 0.0)] * len(curves)
        pairs = list(zip(curves, minus or zeros, strict=True))
        return cls(tuple(steps), tuple(tuple(a[i] - b[i] for i in steps) for a, b in pairs))

    def estimates(self) -> list[Estimate]:
        """Mean and interval over the rows, a step each."""
        return [estimate(column) for column in zip(*self.rows, strict=True)]

    def curve(self) -> Curve:
        """The table with its mean and band."""
        points = self.estimates()
        low = tuple(point.low for point in points if point.low is not None)
        high = tuple(point.high for point in points if point.high is not None)
        middle = tuple(point.mean for point in points)
        return Curve(
            steps=self.steps, mean=middle, low=low or None, high=high or None, runs=self.rows
        )

    def nearest(self, wanted: int) -> int:
        """The step nearest to ``wanted``; the earlier of two."""
        return min(self.steps, key=lambda step: (abs(step - wanted), step))

    def lead_lost(self) -> int | None:
        """:func:`crossover` of a table of differences."""
        return crossover(self.steps, [point.mean for point in self.estimates()])

    def ever_below_zero(self) -> bool:
        """Whether the interval lies below zero at some step."""
        return any(point.high is not None and point.high < 0 for point in self.estimates())


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    return float(np.mean(values))


def mean_norms(runs: Sequence[RunRecord]) -> dict[str, float]:
    """Mean gradient norm by layer from the embedding to the head, over the runs that have it."""
    layers = sorted({layer for run in runs for layer in run.gradient_norms}, key=_depth)
    return {
        layer: mean([run.gradient_norms[layer] for run in runs if layer in run.gradient_norms])
        for layer in layers
    }


def _depth(layer: str) -> tuple[int, int]:
    """Where a layer stands: ``embed``, ``layer 0``, ``layer 1`` …, ``head``."""
    number = layer.removeprefix("layer ")
    return (1, int(number)) if number.isdigit() else (2 * (layer == "head"), 0)


def mean_buckets(probes: Sequence[tuple[Probe, Probe]]) -> tuple[BucketChange, ...]:
    """Buckets in the first run's order, each over the seeds that have it at both moments."""
    tables = [
        tuple({(b.low, b.high): b for b in probe.buckets} for probe in moments)
        for moments in probes
    ]
    keys = dict.fromkeys(key for start, end in tables for key in start if key in end)
    changes = []
    for key in keys:
        both = [(start[key], end[key]) for start, end in tables if key in start and key in end]
        first, last = zip(*both, strict=True)
        changes.append(BucketChange(start=_bucket(first), end=_bucket(last)))
    return tuple(changes)


def _bucket(same: Sequence[Bucket]) -> Bucket:
    return same[0].model_copy(update={"loss": mean([bucket.loss for bucket in same])})


def mean_induction(probes: Sequence[Probe]) -> Induction | None:
    """Mean over the probes that measured it; ``None`` if none did."""
    found = [probe.induction for probe in probes if probe.induction is not None]
    if not found:
        return None
    return Induction(
        first=mean([one.first for one in found]), second=mean([one.second for one in found])
    )
