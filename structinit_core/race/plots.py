"""The charts of a race as PNG files, for papers and slides; needs matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structinit_core.artifact import publish_bytes
from structinit_core.diagnose.style import DASHES, PALETTE
from structinit_core.errors import MissingError
from structinit_core.printable import printable
from structinit_core.race.frame import (
    Frame,
    Level,
    Line,
    apart,
    frame_of,
    loss_levels,
    loss_lines,
    short,
)
from structinit_core.race.result import RaceResult
from structinit_core.race.wording import step_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

PICTURES = ("loss-steps.png", "loss-seconds.png")
_SIZE = (8.0, 5.0)
_DOTS = 150
_SOFT, _GRID = PALETTE[0], "#d5d9de"
_FONT = "DejaVu Sans"
"""Comes with matplotlib, so the letters are the same everywhere."""
_LONGEST = 48


def write_plots(result: RaceResult, directory: Path) -> list[Path]:
    """``loss-steps.png`` and ``loss-seconds.png`` in ``directory``, the same bytes each time.

    The charts of :func:`race_page`, on white. One without a curve to draw is not written.

    Raises:
        MissingError: matplotlib is not installed.
    """
    levels = loss_levels(result)
    uniform = result.references.uniform if result.references else None
    written = []
    given = step_unit(result)
    units = (f"steps, each {given}" if given else "steps", "seconds, the start included")
    for name, unit in zip(PICTURES, units, strict=True):
        lines = loss_lines(result, seconds=unit is units[1])
        if lines:
            path = directory / name
            _write(lines, levels, frame_of(lines, levels, uniform), unit, path)
            written.append(path)
    return written


def _write(
    lines: Sequence[Line], levels: Sequence[Level], frame: Frame, unit: str, path: Path
) -> None:
    """Draw one chart and publish it at ``path``."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError(
            "matplotlib is not installed", hint='pip install "structinit[plot]"'
        ) from error
    figure = Figure(figsize=_SIZE, dpi=_DOTS, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor="white")
    _axes(axes, frame, unit)
    for level in levels:
        axes.axhline(level.value, color=_SOFT, linewidth=1, linestyle=(0, (3, 4)), zorder=1)
    _texts(axes, frame, levels)
    handles = [_line(axes, frame, line) for line in lines]
    gap = (frame.top - frame.bottom) / 28
    ends = apart([line.ys[-1] for line in lines], gap, frame.top)
    for line, end in zip(lines, ends, strict=True):
        where = (frame.across(line.xs[-1]) + 0.008, end)
        _plain(axes.text(*where, str(line.number), color=_colour(line), va="center", weight="bold"))
    # The legend is made with numbers and named after: it hides names that begin with "_".
    numbers, small = [str(line.number) for line in lines], {"fontsize": 9, "frameon": False}
    legend = figure.legend(handles, numbers, loc="outside lower center", ncols=2, **small)
    for text, line in zip(legend.get_texts(), lines, strict=True):
        cut = f"  ▲ {max(line.ys):.2f}" if max(line.ys) > frame.top else ""
        text.set_text(f"{line.number}  {_drawable(line.label)}{cut}")
        _plain(text)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # A legend too long for the picture is drawn all the same.
        warnings.simplefilter("ignore", UserWarning)
        canvas.print_png(drawn, metadata={"Software": None})
    publish_bytes(path, drawn.getvalue())


def _axes(axes: Axes, frame: Frame, unit: str) -> None:
    """Ends, ticks and titles; places across are the frame's shares of the width."""
    places, heights = frame.places(), frame.heights()
    axes.set_xlim(0, 1.03)
    axes.set_ylim(frame.bottom, frame.top)
    axes.set_xticks([frame.across(x) for x in places], [short(x) for x in places])
    axes.set_yticks(heights, [f"{y:g}" for y in heights])
    axes.grid(visible=True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _plain(axes.set_xlabel(unit))
    _plain(axes.set_ylabel("held-out loss, nats per token"))
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        _plain(text)


def _line(axes: Axes, frame: Frame, line: Line) -> Any:
    """The mean with its band, a dot at the start, a triangle where the top cuts it off."""
    across, colour = [frame.across(x) for x in line.xs], _colour(line)
    dashes = DASHES[(line.number - 1) % len(DASHES)]
    style: Any = (0, tuple(d / 2 for d in dashes)) if dashes else "solid"
    (drawn,) = axes.plot(across, line.ys, color=colour, linestyle=style, linewidth=1.8)
    if line.low and line.high:
        axes.fill_between(across, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
    peak, at = max(zip(line.ys, across, strict=False))
    if peak > frame.top:
        axes.plot([at], [frame.top], "^", color=colour, markersize=7, clip_on=False)
        _plain(axes.text(at + 0.012, frame.top, str(line.number), color=colour, va="center"))
    else:
        axes.plot(across[:1], line.ys[:1], "o", color=colour, markersize=4)
    return drawn


def _texts(axes: Axes, frame: Frame, levels: Sequence[Level]) -> None:
    """Labels at the left, above their lines; below where another is right above."""
    gap, last = (frame.top - frame.bottom) / 24, float("inf")
    small: Any = {"color": _SOFT, "fontsize": 8}
    for level in levels:
        above = last - level.value > 2 * gap
        last = level.value
        said = f"{level.name} {level.value:.3f}"
        side = "bottom" if above else "top"
        _plain(axes.text(frame.across(frame.floor) + 0.01, level.value, said, va=side, **small))


def _colour(line: Line) -> str:
    return PALETTE[(line.number - 1) % len(PALETTE)]


def _plain(text: Text) -> None:
    """No formulas between dollar signs, no TeX, whatever a user's settings are."""
    text.set_parse_math(False)
    text.set_usetex(False)
    text.set_fontfamily(_FONT)


def _drawable(text: str) -> str:
    """Untrusted text in letters that the font has, cut in the middle."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    letters = get_font(findfont(FontProperties(family=_FONT))).get_charmap()
    text = "".join(c if ord(c) in letters else "?" for c in printable(text))
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[1 - half :]}"
