"""How values spread, as the outline of a histogram: small inline SVG."""

from __future__ import annotations

from structinit_core.diagnose.axis import BOTTOM, LEFT, RIGHT, TOP, Axis, picture, place
from structinit_core.diagnose.curve import LOOKS
from structinit_core.diagnose.markup import escaped
from structinit_core.diagnose.report import Series

_NARROWEST = 1e-9


def histogram(series: Series, against: Series | None = None, edge: float | None = None) -> str:
    """Outlines of counts between edges, as densities; empty without counts.

    The first is filled. Heights have no scale: widths of bins differ between pictures.
    ``edge`` is marked by a dashed line.
    """
    kept = [one for one in (series, against) if one is not None and _counted(one)]
    if not _counted(series):
        return ""
    farthest = max(one.edges[-1] for one in kept)
    nearest = min(0.0, *(one.edges[0] for one in kept))
    across = Axis(nearest, farthest, LEFT // 4, RIGHT, logarithmic=False)
    outlines = [_outline(one, farthest / 2 - nearest / 2) for one in kept]
    highest = max(y for points in outlines for _, y in points) or 1.0
    up = Axis(0, highest, BOTTOM, TOP, logarithmic=False)
    parts = [f'<line x1="{LEFT // 4}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>']
    parts += [place(across, value) for value in across.levels()[::2]]
    for points, look in reversed(list(zip(outlines, LOOKS, strict=False))):
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
        if look == LOOKS[0]:
            parts.append(f'<polygon class="band {look}" points="{path}"/>')
        parts.append(f'<polyline class="{look}" points="{path}"/>')
    if edge is not None and nearest <= edge <= farthest:
        x = across.at(edge)
        parts.append(f'<line class="level" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>')
    name = escaped(series.name.replace("_", " "))
    count = f"{sum(series.values):,.0f} between {series.edges[0]:.4g} and {series.edges[-1]:.4g}"
    return picture(f"{name}: {count}", *parts)


def _counted(series: Series) -> bool:
    return bool(series.edges) and any(series.values) and series.edges[-1] > series.edges[0]


def _outline(series: Series, half: float) -> list[tuple[float, float]]:
    """Heights over ``half`` the width of the picture; bins too narrow to see have none."""
    total, edges = sum(series.values), series.edges
    points = [(edges[0], 0.0)]
    for count, low, high in zip(series.values, edges[:-1], edges[1:], strict=True):
        width = (high / 2 - low / 2) / half
        height = count / total / width if width > _NARROWEST else 0.0
        points += [(low, height), (high, height)]
    return [*points, (edges[-1], 0.0)]
