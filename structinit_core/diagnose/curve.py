"""A curve on two logarithmic axes as inline SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from structinit_core.diagnose.markup import escaped
from structinit_core.diagnose.report import Series

_WIDTH, _HEIGHT = 260, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 254, 8, 146
_MOST_LEVELS = 6


@dataclass(frozen=True)
class _Axis:
    """Decimal logarithms of an axis' ends, and where on the picture they lie."""

    low: float
    high: float
    start: int
    stop: int

    def at(self, value: float) -> float:
        """Where ``value`` lies."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def levels(self) -> list[float]:
        """Round values between the ends: 1, 2, 5 of each decade, where decades are few."""
        few = self.high - self.low < 2
        every = 1 if few else math.ceil((self.high - self.low) / _MOST_LEVELS)
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        found = [
            float(f"{step}e{decade}")
            for decade in decades
            if decade % every == 0
            for step in ((1, 2, 5) if few else (1,))
        ]
        near = 1e-9
        return [
            value
            for value in found
            if 0 < value < math.inf and self.low - near <= math.log10(value) <= self.high + near
        ]


def curve(series: Series) -> str:
    """The positive values of ``series`` over their places; empty where there is none.

    The vertical axis spans a decade at least, so that a flat curve looks flat.
    """
    points = [(x, y) for x, y in zip(series.places(), series.values, strict=True) if y > 0 < x]
    if not points:
        return ""
    low, high = (math.log10(pick(y for _, y in points)) for pick in (min, max))
    widened = max(0.0, 1 - (high - low)) / 2
    across = _Axis(0, max(0.5, math.log10(max(x for x, _ in points))), _LEFT, _RIGHT)
    up = _Axis(low - widened, high + widened, _BOTTOM, _TOP)
    dots = [(across.at(x), up.at(y)) for x, y in points]
    (first, largest), (last, smallest) = points[0], points[-1]
    name = escaped(series.name.replace("_", " ").replace(".", " "))
    lines = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}: '
        f'{largest:.4g} at place {first}, {smallest:.4g} at place {last}">',
        *(_level(up.at(value), value) for value in up.levels()),
        *(_place(across.at(value), value) for value in across.levels()),
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in dots)}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in dots if len(dots) < 12),
        "</svg>",
    ]
    return "\n".join(lines)


def _level(y: float, value: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" class="value">{value:g}</text>'
    )


def _place(x: float, value: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_BOTTOM}" y2="{_BOTTOM + 4}"/>'
        f'<text x="{x:.1f}" y="{_HEIGHT - 5}" class="middle">{value:g}</text>'
    )
