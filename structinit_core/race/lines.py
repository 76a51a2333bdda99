"""Loss curves with their bands as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from structinit_core.diagnose.markup import escaped
from structinit_core.diagnose.style import DASHES, PALETTE
from structinit_core.race.frame import SLOT, Frame, Level, Line, apart, frame_of, short

WIDTH, HEIGHT = 1000, 320
"""Of the plane: across it is stretched to the page, its height is in pixels."""
_APART = 14
"""Pixels between two lines of text."""

Pairs = list[tuple[float, float]]


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
            f'<text x="{100 * SLOT + 1:.0f}%" y="{text:.1f}">'
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
