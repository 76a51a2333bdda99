"""An axis of a small picture: where a value lies, and which round values to name."""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDTH, HEIGHT = 260, 168
LEFT, RIGHT, TOP, BOTTOM = 46, 254, 8, 146
"""The picture, and the plane inside it."""
_MOST_LEVELS = 6


@dataclass(frozen=True)
class Axis:
    """``low`` … ``high`` (of a logarithmic one: their decimal logarithms), and where they lie."""

    low: float
    high: float
    start: int
    stop: int
    logarithmic: bool = True

    def at(self, value: float) -> float:
        """Where ``value`` lies."""
        placed = math.log10(value) if self.logarithmic else value
        # halves, because the span of two float64 may be infinite
        span = self.high / 2 - self.low / 2
        return self.start + (placed / 2 - self.low / 2) / span * (self.stop - self.start)

    def levels(self) -> list[float]:
        """Round values between the ends: of a logarithmic axis 1, 2, 5 where decades are few."""
        return self._decades() if self.logarithmic else self._steps()

    def _decades(self) -> list[float]:
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

    def _steps(self) -> list[float]:
        raw = (self.high / 2 - self.low / 2) / (_MOST_LEVELS / 2)
        decade = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 0.0
        if not decade:
            return []
        step = decade * next((mark for mark in (1, 2, 5) if mark * decade >= raw), 10)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def level(up: Axis, value: float) -> str:
    """A line across the plane with its value at the left."""
    y = up.at(value)
    return (
        f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 5}" y="{y + 4:.1f}" class="value">{value:g}</text>'
    )


def place(across: Axis, value: float) -> str:
    """A tick below the plane with its value."""
    x = across.at(value)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>'
        f'<text x="{x:.1f}" y="{HEIGHT - 5}" class="middle">{value:g}</text>'
    )


def picture(label: str, *parts: str) -> str:
    """The SVG of escaped ``label``."""
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return "\n".join([head, *parts, "</svg>"])
