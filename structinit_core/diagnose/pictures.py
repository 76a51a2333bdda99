"""The pictures of a report, small multiples by kind; with a comparison both in one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from structinit_core.diagnose.curve import LOOKS, along_depth, curve
from structinit_core.diagnose.heat import heat_map
from structinit_core.diagnose.histogram import histogram
from structinit_core.diagnose.markup import escaped, figure, grid, section
from structinit_core.diagnose.report import Grid, Report, Series

MOST_CURVES = 24
MOST_GRIDS = 8
_MOST_SQUARES = 1 << 16
_DEPTH = {
    "activation_variance": "Variance of the residual stream",
    "activation_mean": "Mean of the residual stream",
    "gradient_norm": "Gradient norm of each layer at step 0",
}
_ENTROPY = "attention_entropy"
_HEADS = {"heads.qk": "query–key", "heads.ov": "output–value"}

One = TypeVar("One")


def depth_pictures(report: Report) -> str:
    """Variance, mean, gradients and the entropy of attention along depth, then by role."""
    theirs = {one.name: one for one in report.series_against if one.tensor is None}
    ours = {one.name: one for one in report.series if one.tensor is None}
    entropy = {
        name: mean
        for name, grids in (("", report.grids), ("against", report.grids_against))
        if (mean := _mean_entropy(grids))
    }
    figures = []
    for name, title in _DEPTH.items():
        if name in ours:
            drawn = along_depth(
                ours[name],
                theirs.get(name),
                layers=name == "gradient_norm",
                bounds=_mean_bounds(ours[name]) if name == "activation_mean" else None,
            )
            figures.append(figure(drawn, title))
    if "" in entropy:
        drawn = along_depth(entropy[""], entropy.get("against"), layers=True, bounds=(0.0, 1.0))
        figures.append(figure(drawn, "Entropy of attention, mean of a layer’s heads"))
    roles = [
        figure(
            along_depth(one, theirs.get(one.name), layers=True),
            f"Gradient norm: {escaped(one.name.partition('.')[2].replace('_', ' '))}",
        )
        for one in ours.values()
        if one.name.startswith("gradient_norm.")
    ]
    said = "Over the number of layers passed; variances and gradients on a logarithmic axis."
    return _pictures("Along depth", said, report, [*figures, *roles])


def head_pictures(report: Report) -> str:
    """How alike heads are, a table of squares a layer, and where each attends broadly."""
    shown: list[str] = []
    ours, theirs = (_by_layer(grids) for grids in (report.grids, report.grids_against))
    for one in (one for one in report.grids if one.name == _ENTROPY):
        other = next((o for o in report.grids_against if o.name == _ENTROPY), None)
        for rows, whose in _sides(report, one, other):
            drawn = heat_map(rows, what=f"Entropy of attention{whose}")
            title = f"Entropy of attention{escaped(whose)}: a layer a row, a head a column"
            shown.append(figure(drawn, title))
    layers = [layer for layer in ours if layer is not None]
    kept = spread_evenly(layers, MOST_GRIDS // (2 if report.grids_against else 1))
    for layer in kept:
        for name, kind in _HEADS.items():
            if (found := ours[layer].get(name)) is None:
                continue
            other = theirs.get(layer, {}).get(name)
            for rows, whose in _sides(report, found, other):
                drawn = heat_map(rows, what=f"Heads of layer {layer}, {kind}{whose}")
                shown.append(figure(drawn, f"Layer {layer}, {kind}{escaped(whose)}"))
    said = (
        "Blue to 1, orange to −1, nothing at 0. Entropy as a share of uniform attention’s, which "
        "is normal before training; cosines between the circuits of every two heads of a layer."
    )
    more = (
        f"{len(layers) - len(kept)} more layers are not drawn." if len(layers) > len(kept) else ""
    )
    return section(
        "Heads",
        f'<p class="soft">{said}</p>' if any(shown) else "",
        grid("curve small", shown),
        f'<p class="soft">{more}</p>' if more else "",
    )


def spectrum_pictures(report: Report) -> str:
    """The subject's own curves, then a histogram of each matrix, or a curve without one.

    Of many layers an even choice is drawn, at most :data:`MOST_CURVES` pictures.
    """
    own = [figure(curve(one), _title(one.name)) for one in report.series if _own_curve(one)]
    ours, theirs = (_by_tensor(series) for series in (report.series, report.series_against))
    edges = {
        check.tensor: math.sqrt(check.value)
        for check in report.checks
        if check.name == "lambda_plus" and isinstance(check.value, float) and check.value >= 0
    }
    names = sorted(ours, key=reading_order)
    kept = _choice(names)
    figures = [_spectrum(ours[name], theirs.get(name, {}), edges.get(name)) for name in kept]
    drawn = [
        figure(picture, escaped(name))
        for name, picture in zip(kept, figures, strict=True)
        if picture
    ]
    said = []
    if any('class="band' in one for one in drawn):
        said.append(
            "Singular values of each matrix: how many lie where. Dashed line: upper edge of the "
            "Marchenko–Pastur bulk."
        )
    if any(own) or any('class="band' not in one for one in drawn):
        said.append("Curves: singular values over their place, both axes logarithmic.")
    left_out = len(names) - len(kept)
    more = f"{left_out} more matrices are not drawn; their norms are in the table."
    foot = f'<p class="soft">{more}</p>' if left_out else ""
    return _pictures("Spectra", " ".join(said), report, [*own, *drawn], foot)


def reading_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Embeddings, then the head, then layer by layer; numbers in names count as numbers."""
    numbered = re.search(r"[0-9]", name) is not None
    head = "head" in name or "embed_out" in name
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return (2 if numbered else int(head)), [
        (len(piece) if piece[0].isdigit() else 0, piece) for piece in pieces
    ]


def spread_evenly(items: Sequence[One], most: int) -> list[One]:
    """At most ``most`` of ``items``, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]


def _pictures(title: str, said: str, report: Report, figures: Sequence[str], foot: str = "") -> str:
    if not any(figures):
        return ""
    return section(
        title, f'<p class="soft">{said}</p>', legend(report), grid("curve small", figures), foot
    )


def legend(report: Report) -> str:
    """Which line is whose, where there are two."""
    if report.against is None:
        return ""
    names = (report.subject, f"{report.against} (compared with)")
    items = "".join(
        f'<li><svg class="key {look}" viewBox="0 0 36 10" aria-hidden="true">'
        f'<line class="{look}" x1="0" x2="36" y1="5" y2="5"/></svg>{escaped(name)}</li>'
        for name, look in zip(names, LOOKS, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def _choice(names: Sequence[str]) -> list[str]:
    """At most :data:`MOST_CURVES` of ``names``: of each kind of matrix an even choice of layers."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"[0-9]+", "*", name), []).append(name)
    each = MOST_CURVES
    while each > 1 and sum(min(each, len(kind)) for kind in kinds.values()) > MOST_CURVES:
        each -= 1
    kept = {name for kind in kinds.values() for name in spread_evenly(kind, each)}
    return [name for name in names if name in kept][:MOST_CURVES]


def _spectrum(ours: dict[str, Series], theirs: dict[str, Series], edge: float | None) -> str:
    for name, one in ours.items():
        if one.edges and (drawn := histogram(one, theirs.get(name), edge)):
            return drawn
    curves = (curve(one, theirs.get(name)) for name, one in ours.items() if not one.edges)
    return next((drawn for drawn in curves if drawn), "")


def _by_tensor(series: Iterable[Series]) -> dict[str, dict[str, Series]]:
    found: dict[str, dict[str, Series]] = {}
    for one in series:
        if one.tensor is not None:
            found.setdefault(one.tensor, {})[one.name] = one
    return found


def _by_layer(grids: Iterable[Grid]) -> dict[int | None, dict[str, Grid]]:
    found: dict[int | None, dict[str, Grid]] = {}
    for one in grids:
        if one.name in _HEADS and sum(map(len, one.rows)) <= _MOST_SQUARES:
            found.setdefault(one.layer, {})[one.name] = one
    return found


def _sides(
    report: Report, ours: Grid, theirs: Grid | None
) -> list[tuple[tuple[tuple[float, ...], ...], str]]:
    """The rows of both, and whose they are where there are two."""
    if report.against is None:
        return [(ours.rows, "")]
    sides = [(ours.rows, f" – {report.subject}")]
    return [*sides, (theirs.rows, f" – {report.against}")] if theirs else sides


def _mean_entropy(grids: Iterable[Grid]) -> Series | None:
    for one in grids:
        if one.name == _ENTROPY and all(one.rows):
            means = tuple(sum(row) / len(row) for row in one.rows)
            return Series(name=_ENTROPY, values=means)
    return None


def _mean_bounds(series: Series) -> tuple[float, float]:
    """As far below 0 as above."""
    largest = max((abs(value) for value in series.values), default=0.0) or 1.0
    return -largest, largest


def _own_curve(series: Series) -> bool:
    known = series.name in _DEPTH or series.name.startswith("gradient_norm.")
    return series.tensor is None and not series.edges and not known


def _title(name: str) -> str:
    return escaped(name.replace("_", " ").replace(".", ": "))
