"""Loss curves with their bands on one chart: what it shows of the plane, and its inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from structinit_core.diagnose.markup import escaped
from structinit_core.diagnose.style import DASHES, PALETTE
from structinit_core.race.result import RaceResult

WIDTH, HEIGHT = 1000, 320
"""Of the plane: across it is stretched to the page, its height is in pixels."""
_ZERO, _SLOT = 0.02, 0.1
"""Where 0 lies across, and where the logarithmic part begins, as shares of the width."""
_APART = 14
"""Pixels between two lines of text."""
_CLIP = 1.05

Pairs = list[tuple[float, float]]


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
            return _ZERO + (_SLOT - _ZERO) * max(0.0, x) / self.floor
        return _SLOT + (1 - _SLOT) * math.log(x / self.floor) / math.log(self.end / self.floor)

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


def line_chart(
    lines: Sequence[Line],
    levels: Sequence[Level],
    *,
    what: str,
    unit: str,
    uniform: float | None = None,
) -> str:
    """``lines`` over ``unit`` with dashed ``levels`` and a legend; empty without lines.

    Curves are stretched with the page and letters keep their size, so the chart is as legible
    on a narrow screen. Each line has its number at its end and its own dashes beside its
    colour; a triangle marks what is cut off above, and the legend says how high it goes.
    """
    lines = [line for line in lines if line.ys]
    if not lines:
        return ""
    frame = frame_of(lines, levels, uniform)
    said = [_said(line, unit) for line in lines]
    said += [f"{escaped(level.name)} {level.value:.3f}" for level in levels]
    ends = apart([_y(frame, line.ys[-1]) for line in lines], _APART - 1, HEIGHT)
    pieces = [
        f'<svg class="lines" role="img" aria-label="{escaped(what)} over {escaped(unit)}: '
        f'{"; ".join(said)}">',
        *(_height(frame, y) for y in frame.heights()),
        *(_place(frame, x) for x in frame.places()),
        f'<text x="50%" y="{HEIGHT + 38}" class="middle">{escaped(unit)}</text>',
        *_levels(frame, levels),
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" height="{HEIGHT}" preserveAspectRatio="none">',
        *(_band(frame, line) for line in lines),
        *(_curve(frame, line) for line in lines),
        "</svg>",
        *(_marks(frame, line, y) for line, y in zip(lines, ends, strict=True)),
        "</svg>",
    ]
    return "\n".join([*pieces, _legend(frame, lines)])


def _said(line: Line, unit: str) -> str:
    (first, start), (last, end) = (line.xs[0], line.ys[0]), (line.xs[-1], line.ys[-1])
    return f"{escaped(line.label)} {start:.3f} at {first:.4g}, {end:.3f} at {last:.4g} {unit}"


def _y(frame: Frame, loss: float) -> float:
    return HEIGHT * (1 - frame.up(loss))


def _look(line: Line) -> str:
    i = line.number - 1
    return f"c{i % len(PALETTE)} d{i % len(DASHES)}"


def _points(frame: Frame, xs: Iterable[float], ys: Iterable[float]) -> Pairs:
    """Points on the plane, with those where the line leaves it, so that slopes stay true."""
    points: Pairs = []
    before: tuple[float, float] | None = None
    for x, y in zip(xs, ys, strict=False):
        across = WIDTH * frame.across(x)
        if before is not None and y != before[1]:
            (start, loss), rise = before, y - before[1]
            shares = sorted((edge - loss) / rise for edge in (frame.bottom, frame.top))
            points += [
                (start + share * (across - start), _y(frame, loss + share * rise))
                for share in shares
                if 0 < share < 1
            ]
        before = (across, y)
        points.append((across, _y(frame, y)))
    return points


def _runs(points: Pairs) -> Iterator[Pairs]:
    """Parts of a line that lie on the plane: none along its edges."""
    run: Pairs = []
    for before, after in pairwise(points):
        if before[1] == after[1] and before[1] in (0, HEIGHT):
            run = []
            continue
        if not run:
            run = [before]
        run.append(after)
        if after[1] in (0, HEIGHT):
            yield run
            run = []
    if run:
        yield run


def _text(points: Pairs) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _curve(frame: Frame, line: Line) -> str:
    runs = _runs(_points(frame, line.xs, line.ys))
    return "\n".join(f'<polyline class="{_look(line)}" points="{_text(run)}"/>' for run in runs)


def _band(frame: Frame, line: Line) -> str:
    if not line.low or not line.high:
        return ""
    edge = _points(frame, line.xs, line.high) + _points(frame, line.xs, line.low)[::-1]
    return f'<polygon class="band {_look(line)}" points="{_text(edge)}"/>'


def _marks(frame: Frame, line: Line, y: float) -> str:
    """The start as a dot, the number at the end, a triangle where the top cuts the line."""
    kind, start, end = _look(line), frame.across(line.xs[0]), frame.across(line.xs[-1])
    peak = max(zip(line.ys, line.xs, strict=False))
    at = f"{100 * frame.across(peak[1]):.2f}%"
    cut = f'<text class="end {kind}" x="{at}" y="10">▲{line.number}</text>'
    dot = f'<circle class="{kind}" cx="{100 * start:.2f}%" cy="{_y(frame, line.ys[0]):.1f}" r="3"/>'
    return (
        f'<text class="end {kind}" x="{100 * end:.2f}%" dx="6" y="{y + 5:.1f}">{line.number}</text>'
        f"{cut if peak[0] > frame.top else dot}"
    )


def _levels(frame: Frame, levels: Sequence[Level]) -> list[str]:
    """Dashed lines, each with its label above it, or below where one is above already.

    Labels stand at the left: curves crowd together at their ends.
    """
    drawn, last = [], -math.inf
    for level in levels:
        at = _y(frame, level.value)
        text = at - 4 if at - 4 >= last + _APART else max(at + _APART - 1, last + _APART)
        last = text
        drawn.append(
            f'<line class="level" x2="100%" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="{100 * _SLOT + 1:.0f}%" y="{text:.1f}">'
            f"{escaped(level.name)} {level.value:.3f}</text>"
        )
    return drawn


def _height(frame: Frame, loss: float) -> str:
    y = _y(frame, loss)
    return (
        f'<line x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="value" x="-6" y="{y + 4:.1f}">{loss:g}</text>'
    )


def _place(frame: Frame, x: float) -> str:
    at = f"{100 * frame.across(x):.2f}%"
    return (
        f'<line x1="{at}" x2="{at}" y1="{HEIGHT}" y2="{HEIGHT + 5}"/>'
        f'<text class="middle" x="{at}" y="{HEIGHT + 19}">{short(x)}</text>'
    )


def _legend(frame: Frame, lines: Iterable[Line]) -> str:
    items = []
    for line in lines:
        cut = f" ▲ {max(line.ys):.2f}" if max(line.ys) > frame.top else ""
        items.append(
            f'<li><svg class="key {_look(line)}" aria-hidden="true">'
            f'<line x2="100%" y1="50%" y2="50%"/></svg>'
            f"<span>{line.number}\u2002{escaped(line.label)}{cut}</span></li>"
        )
    return f'<ul class="legend">{"".join(items)}</ul>'
