"""Line charts: points in order and on the plane, ranges that tell curves apart."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structinit_core.diagnose.style import DASHES, PALETTE
from structinit_core.race.lines import (
    HEIGHT,
    WIDTH,
    Frame,
    Level,
    Line,
    apart,
    frame_of,
    line_chart,
    loss_levels,
    loss_lines,
)

STEPS = (0.0, 1.0, 10.0, 100.0)


def line(*ys: float, number: int = 1, width: float = 0.0, **changes) -> Line:
    band = (tuple(y - width for y in ys), tuple(y + width for y in ys)) if width else (None, None)
    xs = changes.pop("xs", STEPS[: len(ys)])
    return Line(number, f"arm {number}", xs, ys, *band, **changes)


def chart(*lines: Line, levels: tuple[Level, ...] = (), uniform: float | None = None) -> str:
    return line_chart(lines, levels, what="Loss", unit="steps", uniform=uniform)


def points(element: dict[str, str | None]) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in (element["points"] or "").split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_points_are_in_order_and_on_the_plane(read) -> None:
    page = read(chart(line(14, 9, 6, 4.8, width=0.5), line(4.9, 4.8, 4.7, 4.6), uniform=6.2))
    inner = [svg for svg in page.tags("svg") if "viewbox" in svg]
    assert [svg["viewbox"] for svg in inner] == [f"0 0 {WIDTH} {HEIGHT}"]
    drawn = [points(one) for one in page.tags("polyline")]
    assert len(drawn) == 2
    for run in drawn:
        assert run == sorted(run)
    for x, y in (p for one in page.tags("polygon") + page.tags("polyline") for p in points(one)):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_the_slot_of_step_zero_and_the_decades_after_it() -> None:
    frame = frame_of([line(4, 3, 2, 1)], (), None)
    places = [frame.across(x) for x in STEPS]
    assert places[0] < places[1] < places[2] < places[3] == 1
    assert places[2] - places[1] == pytest.approx(places[3] - places[2])
    assert frame.places() == [0, 1, 10, 100]
    assert frame.across(0.5) == pytest.approx((places[0] + places[1]) / 2)


def test_a_bad_start_is_cut_off_and_said(read) -> None:
    lines = (line(14.02, 14, 6, 4.8), line(6.2, 6, 5, 4.5, number=2))
    frame = frame_of(lines, (), 6.24)
    assert frame.top < 7
    page = read(chart(*lines, uniform=6.24))
    assert "▲1" in page.texts
    assert any("▲ 14.02" in text for text in page.texts)
    assert "14.020 at 0" in page.labels()[0]
    run = points(page.tags("polyline")[0])
    assert run[0][1] == 0
    assert all(y > 0 for _, y in run[1:])


def test_without_references_the_second_highest_curve_sets_the_top() -> None:
    others = (line(6.2, 6, 5, 4.5), line(5, 4.9, 4.8, 4.4, number=2))
    assert frame_of((*others, line(40, 30, 20, 5, number=3)), (), None).top < 7
    assert frame_of([line(40, 30, 20, 5)], (), None).top > 40


def test_a_line_that_never_comes_back_has_its_triangle_only(read) -> None:
    page = read(chart(line(14, 14, 13, 13), line(6, 5, 4, 4, number=2), uniform=6.2))
    assert len(page.tags("polyline")) == 1
    assert "▲1" in page.texts


def test_wide_bands_do_not_flatten_the_curves() -> None:
    frame = frame_of([line(6, 5.5, 5, 4.5, width=100)], (), 6.2)
    assert frame.top - frame.bottom < 2.5
    narrow = frame_of([line(6, 5.5, 5, 4.5, width=0.1)], (), 6.2)
    assert narrow.bottom < 4.4
    assert narrow.top > 6.1


def test_lines_differ_by_more_than_colour() -> None:
    assert math.gcd(len(PALETTE), len(DASHES)) == 1
    drawn = chart(*(line(6, 5, 4, number=i) for i in range(1, 13)))
    looks = {f'class="key c{i % 6} d{i % 5}"' for i in range(12)}
    assert len(looks) == 12
    assert all(look in drawn for look in looks)


def test_levels_and_names_are_drawn_once_each(read) -> None:
    levels = (Level("unigram", 5.5), Level("KN-2", 4.52), Level("KN-3", 4.5), Level("<b>", 4.4))
    page = read(chart(line(6, 5, 4.6, 4.4), levels=levels))
    assert len([one for one in page.tags("line") if one.get("class") == "level"]) == 4
    for said in ("unigram 5.500", "KN-2 4.520", "KN-3 4.500", "<b> 4.400"):
        assert said in page.texts
        assert said in page.labels()[0]


def test_names_keep_their_place_where_a_curve_is_missing(make_result, arm, waiting) -> None:
    result = make_result(arm(), waiting(), arm("third", step_seconds=None))
    assert [one.number for one in loss_lines(result, seconds=False)] == [1, 3]
    assert [one.number for one in loss_lines(result, seconds=True)] == [1]
    assert loss_lines(result, seconds=False)[0].label == "default (baseline)"
    assert [level.name for level in loss_levels(result)] == ["unigram", "KN-2", "KN-3"]
    assert loss_levels(make_result(references=None)) == ()


def test_seconds_include_the_start(make_result, arm) -> None:
    (one,) = loss_lines(make_result(arm(start_seconds=2.0, step_seconds=0.5)), seconds=True)
    assert (one.xs[0], one.xs[1], one.xs[-1]) == (2.0, 2.5, 502.0)


def test_nothing_to_draw() -> None:
    assert chart() == ""
    assert chart(line()) == ""


@given(
    st.lists(
        st.lists(st.floats(0, 50), min_size=1, max_size=4),
        min_size=1,
        max_size=8,
    ),
    st.floats(0.5, 12) | st.none(),
    st.floats(0, 2),
)
def test_any_finite_curves_can_be_drawn(curves, uniform, width) -> None:
    lines = [line(*ys, number=i, width=width) for i, ys in enumerate(curves, 1)]
    frame = frame_of(lines, (), uniform)
    assert frame.bottom < frame.top
    assert 2 <= len(frame.heights()) <= 8
    drawn = chart(*lines, uniform=uniform)
    assert drawn.count("<li>") == len(lines)
    assert "nan" not in drawn.replace("translate", "")


@given(st.lists(st.floats(0, 300), max_size=12))
def test_labels_keep_apart_and_in_order(heights) -> None:
    placed = apart(heights, 13, 320)
    ranked = [placed[i] for i in sorted(range(len(heights)), key=heights.__getitem__)]
    assert all(b - a > 12.99 for a, b in pairwise(ranked))
    assert all(y <= 320 for y in placed)


@pytest.mark.parametrize("end", [3, 150, 2e4, 3e9])
def test_places_are_few_and_inside(end: float) -> None:
    frame = Frame(1, end, 0, 1)
    assert 2 <= len(frame.places()) <= 8
    assert all(0 <= frame.across(x) <= 1.001 for x in frame.places())
