"""Horizontal bars as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from structinit_core.diagnose.markup import escaped

_ROW, _BASELINE, _TOP, _THICKNESS = 38, 14, 20, 10
_LABEL = 30
"""Letters of a label that leave room for the value on a telephone."""


@dataclass(frozen=True)
class Bar:
    """One labelled value; ``marked`` is the subject, ``hollow`` what was tried and not kept."""

    label: str
    value: float
    marked: bool = False
    hollow: bool = False


def bar_chart(rows: Iterable[Bar], *, what: str, unit: str, digits: int) -> str:
    """Bars from zero, each under its label and value; empty where there is nothing to draw.

    Lengths are shares of the width of the page and letters keep their size, so the chart is
    as legible on a narrow screen. ``what`` begins the text alternative.
    """
    drawn = [bar for bar in rows if math.isfinite(bar.value) and bar.value >= 0]
    if not drawn:
        return ""
    longest = max(bar.value for bar in drawn) or 1.0
    lines, said = [], []
    for i, bar in enumerate(drawn):
        label, value, top = escaped(bar.label, _LABEL), f"{bar.value:.{digits}f}", i * _ROW
        kind = "bar marked" if bar.marked else "bar hollow" if bar.hollow else "bar"
        said.append(f"{label} {value}")
        lines.append(
            f'<g class="{kind}"><text y="{top + _BASELINE}">{label}</text>'
            f'<text x="100%" y="{top + _BASELINE}" class="value">{value}</text>'
            f'<rect y="{top + _TOP}" width="{100 * bar.value / longest:.2f}%" '
            f'height="{_THICKNESS}"/></g>'
        )
    alternative = f"{escaped(what)}, {escaped(unit)}: {'; '.join(said)}"
    head = f'<svg width="100%" height="{len(drawn) * _ROW}" role="img" aria-label="{alternative}">'
    return "\n".join([head, *lines, "</svg>"])
