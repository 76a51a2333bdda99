"""What a chart of a race shows: its lines, its levels, and the part of the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from structinit_core.race.result import RaceResult

_ZERO, SLOT = 0.02, 0.1
"""Where 0 lies across, and where the logarithmic part begins, as shares of the width."""
_CLIP = 1.05


@dataclass(frozen=True)
class Line:
    """The loss of arm ``number`` (from 1), its 95 % band, and a remark for the legend."""

    number: int
    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    remark: str = ""

    @property
    def label(self) -> str:
        """Name and remark, not escaped."""
        return f"{self.name} ({self.remark})" if self.remark else self.name


@dataclass(frozen=True)
class Level:
    """A loss to compare with, drawn across the whole chart."""

    name: str
    value: float


@dataclass(frozen=True)
class Frame:
    """What a chart shows: 0 … ``end`` across, logarithmic from ``floor``; ``bottom`` … ``top``."""

    floor: float
    end: float
    bottom: float
    top: float

    def across(self, x: float) -> float:
        """Share of the width: linear from 0 to the first step, which has a slot of its own."""
        if x < self.floor:
            return _ZERO + (SLOT - _ZERO) * max(0.0, x) / self.floor
        return SLOT + (1 - SLOT) * math.log(x / self.floor) / math.log(self.end / self.floor)

    def up(self, y: float) -> float:
        """Share of the height; what lies beyond an end is put on it."""
        return (min(max(y, self.bottom), self.top) - self.bottom) / (self.top - self.bottom)

    def places(self) -> list[float]:
        """0 and round values across: decades, or 1, 2, 5 of each where those are few."""
        low, high = math.log10(self.floor), math.log10(self.end)
        every = max(1, math.ceil((high - low) / 6))
        marks = (1, 2, 5) if high - low < 2 else (1,)
        found = (
            float(f"{mark}e{decade}")
            for decade in range(math.floor(low), math.ceil(high) + 1)
            for mark in marks
            if decade % every == 0
        )
        return [0.0, *(x for x in found if self.floor * 0.999 <= x <= self.end * 1.001)]

    def heights(self) -> list[float]:
        """Round losses, seven at most."""
        raw = (self.top - self.bottom) / 6
        decade = 10.0 ** math.floor(math.log10(raw))
        step = decade * next(mark for mark in (1, 2, 5, 10) if mark * decade >= raw)
        first, last = math.ceil(self.bottom / step), math.floor(self.top / step)
        return [round(i * step, 9) for i in range(first, last + 1)]


def loss_lines(result: RaceResult, *, seconds: bool) -> tuple[Line, ...]:
    """A line for each arm that has a curve, over steps, or over seconds with the start's."""
    lines = []
    for number, arm in enumerate(result.arms, 1):
        start, step = (arm.start_seconds, arm.step_seconds) if seconds else (0.0, 1.0)
        if arm.curve is None or not arm.curve.mean or start is None or step is None:
            continue
        remarks = ["baseline"] if arm.name == result.baseline else []
        remarks += [] if arm.status == "finished" else [arm.status]
        xs = tuple(start + step * at for at in arm.curve.steps)
        curve, remark = arm.curve, ", ".join(remarks)
        lines.append(Line(number, arm.name, xs, curve.mean, curve.low, curve.high, remark))
    return tuple(lines)


def loss_levels(result: RaceResult) -> tuple[Level, ...]:
    """What counting scores, the worst first."""
    if (given := result.references) is None:
        return ()
    levels = (Level("unigram", given.unigram), Level("KN-2", given.kn2), Level("KN-3", given.kn3))
    return tuple(sorted(levels, key=lambda level: -level.value))


def frame_of(lines: Sequence[Line], levels: Sequence[Level], uniform: float | None) -> Frame:
    """The part of the plane that tells curves apart.

    A bad start can be worse than knowing nothing and would flatten every other curve: the top
    is 1.05 × the ``uniform`` loss at most, or 1.05 × the second highest curve where that is
    not known. Bands, wide with few seeds, add at most a quarter to either side.
    """
    values = [y for line in lines for y in line.ys] + [level.value for level in levels]
    second = sorted(max(line.ys) for line in lines)[:-1][-1:]
    known = [uniform] if uniform is not None else second or [math.inf]
    lowest, highest, limit = min(values), max(values), _CLIP * known[0]
    top = min(limit, highest) if limit > lowest else highest
    span = max(top - lowest, 0.05)
    highs = [y for line in lines for y in line.high or () if y <= top + span / 4]
    lows = [y for line in lines for y in line.low or ()]
    bottom = min(lowest, max(lowest - span / 4, min(lows, default=lowest)))
    top = max([lowest + span, *highs])
    floors = [x for line in lines for x in line.xs[1:2] or line.xs[:1] if x > 0]
    floor = min(floors, default=1.0)
    end = max([floor * 3, *(x for line in lines for x in line.xs)])
    return Frame(floor, end, bottom - span / 25, top + span / 25)


def apart(heights: Sequence[float], gap: float, most: float) -> list[float]:
    """``heights`` moved as little as keeps them ``gap`` apart and below ``most``, in order."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = list(heights)
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + gap)
    for i in reversed(order):
        placed[i] = most = min(placed[i], most)
        most -= gap
    return placed


def short(value: float) -> str:
    """A place on an axis."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value:,g}"
