"""A table of values from −1 to 1 as a picture of squares: small inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from structinit_core.diagnose.markup import escaped

_WIDTH, _LEFT, _BELOW, _TALLEST, _LOWEST = 260, 26, 20, 234.0, 26.0
_STEPS = 12


def heat_map(rows: Sequence[Sequence[float]], *, what: str) -> str:
    """``rows`` from top to bottom as squares: blue to 1, orange to −1, fainter towards 0.

    Rows and columns are numbered from 0 at their ends. Empty for a table without cells.
    """
    if not rows or not rows[0]:
        return ""
    columns = len(rows[0])
    size = (_WIDTH - _LEFT) / columns
    tall = max(min(size, _TALLEST / len(rows)), _LOWEST / len(rows))
    cells: dict[int, list[str]] = {}
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            step = round(_STEPS * max(-1.0, min(1.0, value)))
            cells.setdefault(step, []).append(f"M{j} {i}h1v1h-1z")
    bottom = tall * len(rows)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {bottom + _BELOW:.1f}" role="img" '
        f'aria-label="{escaped(what)}: {_said(rows)}">',
        f'<rect class="frame" x="{_LEFT}" y="0" width="{_WIDTH - _LEFT}" height="{bottom:.1f}"/>',
        f'<g transform="translate({_LEFT} 0) scale({size:.4f} {tall:.4f})">',
        *(_squares(step, paths) for step, paths in sorted(cells.items()) if step),
        "</g>",
        *(
            f'<text x="{_LEFT - 5}" y="{tall * (i + 0.5) + 4:.1f}" class="value">{i}</text>'
            for i in sorted({0, len(rows) - 1})
        ),
        *(
            f'<text x="{_LEFT + size * (j + 0.5):.1f}" y="{bottom + 14:.1f}" '
            f'class="middle">{j}</text>'
            for j in sorted({0, columns - 1})
        ),
        "</svg>",
    ]
    return "\n".join(parts)


def _squares(step: int, paths: Sequence[str]) -> str:
    hue = "c1" if step > 0 else "c2"
    opacity = abs(step) / _STEPS
    return f'<path class="cell {hue}" fill-opacity="{opacity:.2f}" d="{"".join(paths)}"/>'


def _said(rows: Sequence[Sequence[float]]) -> str:
    values = [value for row in rows for value in row]
    return f"{len(rows)} × {len(rows[0])}, {min(values):.3g} to {max(values):.3g}"
