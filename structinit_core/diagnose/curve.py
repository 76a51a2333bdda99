"""Curves as small inline SVG: over places on two logarithmic axes, or along the depth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from structinit_core.diagnose.axis import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    level,
    picture,
    place,
)
from structinit_core.diagnose.markup import escaped
from structinit_core.diagnose.report import Series

LOOKS = ("c1 d0", "c2 d1")
"""Colour and dashes of the subject, and of what it is compared with."""
_FEW = 12

Points = list[tuple[float, float]]


def curve(series: Series, against: Series | None = None) -> str:
    """The positive values of ``series`` over their places; empty where there is none.

    The vertical axis spans a decade at least, so that a flat curve looks flat.
    """
    lines = [_positive(one) for one in (series, against) if one is not None]
    if not lines[0]:
        return ""
    farthest = max(x for points in lines for x, _ in points)
    across = Axis(0, max(0.5, math.log10(farthest)), LEFT, RIGHT)
    said = f"{_name(series)}: {_ends(lines[0], 'place')}"
    return _drawn(lines, across, _decade(lines), said, across.levels())


def along_depth(
    series: Series,
    against: Series | None = None,
    *,
    layers: bool,
    bounds: tuple[float, float] | None = None,
) -> str:
    """``series`` along the layers, whose numbers are the axis; empty without a value to draw.

    With ``layers`` place p is layer p − 1, else the stream after (p − 1)/2 layers. Linear, and
    at least from the one of ``bounds`` to the other; without them logarithmic, of positive
    values only, and over a decade at least.
    """
    lines = [
        [
            (at - 1.0 if layers else (at - 1) / 2, value)
            for at, value in zip(one.places(), one.values, strict=True)
            if value > 0 or bounds is not None
        ]
        for one in (series, against)
        if one is not None
    ]
    if not lines[0]:
        return ""
    last = max(x for points in lines for x, _ in points)
    across = Axis(0, max(1.0, last), LEFT, RIGHT, logarithmic=False)
    if bounds is None:
        up = _decade(lines)
    else:
        values = [*bounds, *(y for points in lines for _, y in points)]
        up = Axis(min(values), max(values), BOTTOM, TOP, logarithmic=False)
    said = f"{_name(series)}: {_ends(lines[0], 'layer')}"
    whole = [x for x in across.levels() if x == int(x)]
    return _drawn(lines, across, up, said, whole)


def _decade(lines: Sequence[Points]) -> Axis:
    values = [y for points in lines for _, y in points]
    low, high = math.log10(min(values)), math.log10(max(values))
    widened = max(0.0, 1 - (high - low)) / 2
    return Axis(low - widened, high + widened, BOTTOM, TOP)


def _drawn(
    lines: Sequence[Points], across: Axis, up: Axis, said: str, places: Sequence[float]
) -> str:
    parts = [level(up, value) for value in up.levels()]
    parts += [place(across, value) for value in places]
    for points, look in reversed(list(zip(lines, LOOKS, strict=False))):
        dots = [(across.at(x), up.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline class="{look}" points="{path}"/>')
        if len(dots) < _FEW:
            mark = look.partition(" ")[0]
            parts += [f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in dots]
    return picture(said, *parts)


def _positive(series: Series) -> Points:
    pairs = zip(series.places(), series.values, strict=True)
    return [(x, y) for x, y in pairs if y > 0 < x]


def _name(series: Series) -> str:
    return escaped(series.name.replace("_", " ").replace(".", " "))


def _ends(points: Points, what: str) -> str:
    (first, one), (last, other) = points[0], points[-1]
    return f"{one:.4g} at {what} {first:g}, {other:.4g} at {what} {last:g}"
