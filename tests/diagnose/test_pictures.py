"""Pictures of a report and of a comparison: every kind is there, alone and side by side."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.diagnose import Check, Grid, Part, Report, Series, beside, report_page
from structinit_core.diagnose.curve import along_depth
from structinit_core.diagnose.heat import heat_map
from structinit_core.diagnose.histogram import histogram
from structinit_core.diagnose.pictures import MOST_CURVES
from structinit_core.diagnose.style import STYLE


def report(subject: str, scale: float = 1.0, layers: int = 2) -> Report:
    names = [f"h.{i}.w" for i in range(layers)]
    counts = "singular_value_counts"
    series = [
        Series(name=counts, values=(1, 3), edges=(0, scale, 2 * scale), tensor=n) for n in names
    ]
    series += [Series(name="singular_values", values=(2 * scale, scale), tensor=n) for n in names]
    along = tuple(scale * (i + 1) for i in range(layers))
    series += [
        Series(
            name="activation_variance",
            values=(scale, *along),
            at=tuple(range(1, 2 * layers + 2, 2)),
        ),
        Series(name="gradient_norm", values=along),
        Series(name="gradient_norm.attn_q", values=along),
    ]
    grids = [Grid(name="attention_entropy", rows=((1.0, 0.5),) * layers)]
    grids += [Grid(name="heads.qk", rows=((1, -0.2), (-0.2, 1)), layer=i) for i in range(layers)]
    checks = [
        Check(name="loss.model", value=6.0 * scale, unit="nats"),
        Check(name="loss.bucket", value=7.0 * scale, tensor="tokens seen 0 times"),
        Check(name="activation_variance", value=scale, tensor="after embedding"),
        Check(name="attention_entropy", value=0.5, tensor="layer 0 head 1"),
        *(Check(name="lambda_plus", value=scale**2, tensor=name) for name in names),
    ]
    parts = tuple(Part(name=name) for name in names)
    return Report(
        subject=subject,
        checks=tuple(checks),
        parts=parts,
        series=tuple(series),
        grids=tuple(grids),
    )


def captions(page: str) -> list[str]:
    return re.findall(r"<figcaption>(.*?)</figcaption>", page)


def test_every_picture_is_there() -> None:
    page = report_page(report("mine"), {})
    found = "\n".join(captions(page))
    for part in (
        "Loss before any training",
        "Loss by how often a token was seen",
        "Variance of the residual stream",
        "Gradient norm of each layer",
        "Gradient norm: attn q",
        "Entropy of attention, mean",
        "Entropy of attention: a layer a row",
        "Layer 1, query–key",
        "h.1.w",
    ):
        assert part in found
    for title in ("Residual stream", "Heads", "Tokens by frequency", "Checks of each tensor"):
        assert f"<h2>{title}</h2>" in page
    assert "legend" not in page.split("</style>")[1]
    assert not re.search(r"(?i)https?:|url\(|@import|<script|<img|src=|href=", page)


def test_two_checkpoints_share_each_picture() -> None:
    page = report_page(beside(report("mine"), report("theirs", 2.0)), {})
    body = page.split("</style>")[1]
    drawn = re.findall(r"<figure><figcaption>(.*?)</figcaption>\n(.*?)</figure>", body, re.DOTALL)
    curves = {caption: svg for caption, svg in drawn if "polyline" in svg}
    assert {"h.0.w", "Variance of the residual stream"} <= curves.keys()
    for svg in curves.values():
        assert svg.count('<polyline class="c1 d0"') == svg.count('<polyline class="c2 d1"') == 1
    assert body.count('<ul class="legend">') == 2
    assert {"Layer 0, query–key – mine", "Layer 0, query–key – theirs"} <= set(captions(page))
    assert "<h1>mine against theirs</h1>" in page
    row = re.search(r'<th scope="row">loss.model</th>(.*?)</tr>', page)
    assert row is not None
    assert re.findall(r"<td>(.*?)</td>", row[1])[:3] == ["6.0000", "12.0000", "-6.0000"]


def test_many_layers_are_chosen_evenly() -> None:
    page = report_page(report("deep", layers=100), {})
    spectra = [caption for caption in captions(page) if caption.startswith("h.")]
    assert len(spectra) <= MOST_CURVES
    assert {"h.0.w", "h.99.w"} <= set(spectra)
    assert "92 more layers are not drawn." in page
    assert "76 more matrices are not drawn" in page


def test_both_schemes_have_every_colour() -> None:
    light, dark = (
        {name for block in blocks for name in re.findall(r"--[a-z0-9]+(?=:)", block)}
        for blocks in (
            re.findall(r"^:root \{(.*?)\}", STYLE, re.DOTALL | re.MULTILINE),
            re.findall(r"dark\) \{ :root \{(.*?)\}", STYLE, re.DOTALL),
        )
    )
    assert light == dark
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", STYLE)) - {"--hue"}
    assert used <= light


def test_squares_follow_values() -> None:
    drawn = heat_map(((1.0, 0.0), (-0.5, 1.0)), what="x")
    cells = re.findall(r'class="cell (c\d)" fill-opacity="([\d.]+)" d="(.*?)"', drawn)
    assert cells == [("c2", "0.50", "M0 1h1v1h-1z"), ("c1", "1.00", "M0 0h1v1h-1zM1 1h1v1h-1z")]
    assert heat_map((), what="x") == ""


def test_the_edge_of_the_bulk_is_where_it_is() -> None:
    series = Series(name="counts", values=(1, 1), edges=(0, 1, 2))
    x = re.search(r'class="level" x1="([\d.]+)"', histogram(series, edge=1.0))
    ends = re.findall(r"([\d.]+),146", histogram(series))
    assert x is not None
    assert float(x[1]) == pytest.approx((float(ends[0]) + float(ends[-1])) / 2, abs=0.1)
    assert "level" not in histogram(series, edge=3.0)


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=1, max_size=6), st.lists(finite, min_size=1, max_size=6))
def test_any_finite_numbers_draw_inside_the_picture(one: list[float], two: list[float]) -> None:
    ours, theirs = Series(name="a", values=tuple(one)), Series(name="a", values=tuple(two))
    edges = tuple(sorted(one))
    counted = (
        Series(name="a", values=(1.0,) * (len(edges) - 1), edges=edges) if len(edges) > 1 else ours
    )
    pictures = [
        along_depth(ours, theirs, layers=True),
        along_depth(ours, theirs, layers=False, bounds=(0.0, 1.0)),
        histogram(counted, edge=two[0]),
        heat_map([one, one], what="a"),
    ]
    for drawn in pictures:
        assert "nan" not in drawn
        assert "inf" not in drawn
        points = " ".join(re.findall(r'points="(.*?)"', drawn))
        assert all(-1 <= float(place) <= 261 for place in re.findall(r"-?[\d.]+", points))
