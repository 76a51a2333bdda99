"""The page: well-formed, self-contained, nothing of a hostile report obeyed, no empty part."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.diagnose import Check, Report, Series, report_page
from structinit_core.diagnose.pictures import MOST_CURVES

VOID = {"meta", "rect", "line", "circle", "polyline", "polygon", "path"}
BLOCKS = {"html", "head", "body", "main", "section", "div", "p", "ul", "li", "figure", "span"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
KNOWN = VOID | BLOCKS | TABLE | {"title", "style", "h1", "h2", "figcaption", "svg", "g", "text"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;\x1b[2J\x00\u202e\ud800"


class Reader(HTMLParser):
    """Every element with its attributes, text outside of the style; refuses unclosed tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def losses() -> list[Check]:
    values = {"uniform": 9.0, "unigram": 7.0, "kn2": 4.8, "kn3": 4.5, "model": 4.9}
    return [Check(name=f"loss.{k}", value=v, unit="nats") for k, v in values.items()]


def curve(tensor: str | None, *values: float) -> Series:
    return Series(name="singular_values", values=values, tensor=tensor)


def page_of(
    *checks: Check, series: tuple[Series, ...] = (), notes: tuple[str, ...] = (), **seconds: float
) -> Reader:
    report = Report(subject="out", checks=checks, notes=notes, series=series)
    return Reader(report_page(report, seconds))


def test_every_part_is_there() -> None:
    page = page_of(
        *losses(),
        Check(name="scored", value=8064, unit="tokens"),
        Check(name="stage.svd", value=5.4, unit="nats", verdict="ok"),
        Check(name="stage.table_refit", value=5.5, unit="nats", verdict="info"),
        Check(name="norm", value=2.5, tensor="wte"),
        series=(curve(None, 3, 2, 1), curve("wte", 2, 1)),
        notes=("a remark",),
        counting=2.5,
    )
    text = "\n".join(page.texts)
    for part in ("this checkpoint", "KN-3", "8,064 tokens", "table refit – not kept", "counting"):
        assert part in text
    for title in ("Losses and time", "Spectra", "Checks of each tensor", "Notes", "a remark"):
        assert title in page.texts
    assert page.tags("html") == [{"lang": "en"}]
    assert len(page.tags("figure")) == len(page.tags("figcaption")) == 5
    assert len(page.tags("title")) == 1
    alternatives = [svg["aria-label"] or "" for svg in page.tags("svg")]
    assert "this checkpoint 4.900" in alternatives[0]
    assert all(svg["role"] == "img" for svg in page.tags("svg"))
    assert [bar for bar in page.tags("g") if bar["class"] == "bar marked"]
    assert [bar for bar in page.tags("g") if bar["class"] == "bar hollow"]


def test_bars_are_in_proportion_and_losses_in_order() -> None:
    page = page_of(*losses())
    widths = [float((rect["width"] or "").rstrip("%")) for rect in page.tags("rect")]
    assert widths == pytest.approx([100 * v / 9 for v in (9.0, 7.0, 4.9, 4.8, 4.5)], abs=0.01)


def test_parts_without_data_are_left_out() -> None:
    page = page_of(Check(name="file_bytes", value=10, unit="bytes"))
    assert page.tags("svg") == page.tags("figure") == page.tags("li") == []
    assert len(page.tags("table")) == len(page.tags("section")) == 1
    assert Reader(report_page(Report(subject="", checks=()), {})).tags("section") == []


def test_nothing_is_loaded_and_nothing_runs() -> None:
    page = page_of(*losses(), series=(curve("wte", 2, 1),), notes=("https://example.org",), a=1.0)
    assert {tag for tag, _ in page.elements} <= KNOWN
    attributes = {name for _, found in page.elements for name in found}
    assert not attributes & {"src", "href", "style"}
    assert not any(name.startswith("on") for name in attributes)
    policy = next(meta for meta in page.tags("meta") if "http-equiv" in meta)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_hostile_names_are_text() -> None:
    report = Report(
        subject=EVIL,
        checks=(
            Check(name=EVIL, value=EVIL, unit=EVIL),
            Check(name=EVIL, value=1.0, unit=EVIL, tensor=EVIL, verdict="fail"),
            Check(name=f"stage.{EVIL}", value=4.0),
        ),
        notes=(EVIL,),
        series=(curve(EVIL, 2, 1), Series(name=EVIL, values=(1.0,))),
    )
    text = report_page(report, {EVIL: 1.0})
    page = Reader(text)
    assert {tag for tag, _ in page.elements} <= KNOWN
    assert "onerror" not in {name for _, found in page.elements for name in found}
    assert all(c.isprintable() or c == "\n" for c in text)
    text.encode("utf-8")


def test_long_names_keep_both_ends() -> None:
    page = page_of(Check(name="norm", value=1.0, tensor="begin" + "x" * 10_000 + "end"))
    (name,) = (text for text in page.texts if text.startswith("begin"))
    assert name.endswith("end")
    assert len(name) <= 120


def test_tensors_come_embeddings_first_and_layers_by_number() -> None:
    names = ["h.10.mlp", "h.2.attn", "lm_head", "wte"]
    page = page_of(series=tuple(curve(name, 2, 1) for name in names))
    captions = [text for text in page.texts if text in names]
    assert captions == ["wte", "lm_head", "h.2.attn", "h.10.mlp"]


def test_a_line_says_how_many_spectra_are_not_drawn() -> None:
    many = tuple(curve(f"h.{i}.w", 2, 1) for i in range(MOST_CURVES + 3))
    page = page_of(series=(*many, curve(None, 3, 1)))
    assert len(page.tags("svg")) == MOST_CURVES + 1
    assert any(text.startswith("3 more matrices are not drawn") for text in page.texts)
    assert not any("not drawn" in text for text in page_of(series=many[:MOST_CURVES]).texts)


def test_failures_are_words_not_only_colours() -> None:
    failed = Check(name="nan", value=3, threshold=0, verdict="fail", tensor="wte")
    warned = Check(name="loss.model", value=9.9, verdict="warn")
    assert {"1 failed", "1 with a warning", "warn"} <= set(page_of(failed, warned).texts)
    assert "5 checks: none failed" in page_of(*losses()).texts


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, max_size=6), st.lists(finite.map(abs), max_size=6))
def test_any_finite_numbers_draw(values: list[float], positive: list[float]) -> None:
    falling = tuple(sorted(positive, reverse=True))
    page = page_of(
        *(Check(name=f"stage.{i}", value=value) for i, value in enumerate(values)),
        series=(curve(None, *values), curve("w", *falling)),
    )
    places = re.findall(
        r"-?[\d.]+", " ".join(line["points"] or "" for line in page.tags("polyline"))
    )
    assert all(-1 <= float(place) <= 261 for place in places)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_what_is_no_length_is_no_bar(bad: float) -> None:
    assert page_of(a=bad).tags("rect") == []
