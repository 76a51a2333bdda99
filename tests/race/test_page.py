"""The page of a race: well-formed, self-contained, nothing hostile obeyed, gaps said."""

from __future__ import annotations

from structinit_core.race.page import count_text, interval, race_page
from structinit_core.race.result import Estimate

KNOWN = {"html", "head", "body", "main", "section", "div", "p", "ul", "li", "figure", "span"}
KNOWN |= {"table", "thead", "tbody", "tr", "th", "td", "title", "style", "h1", "h2", "figcaption"}
KNOWN |= {"meta", "br", "rect", "line", "circle", "polyline", "polygon", "svg", "g", "text"}
KNOWN |= {"strong"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;\x1b[2J\x00\u202e$\\frac{1}{2}$"
TITLES = (
    *("Verdicts", "Loss", "All starts", "Difference to the baseline on the way, nats"),
    *("Steps and seconds to a loss", "Gradient norm by layer"),
    *("Loss by how often a token was seen, start → end", "Protocol", "Network and text"),
    *("Loss on random sequences that repeat once", "What counting scores", "Machine", "Notes"),
    "Learning rates tried, and the loss after them",
)


def test_every_part_every_arm_and_every_reference_is_there(make_result, read) -> None:
    result = make_result()
    page = read(race_page(result))
    assert set(TITLES) <= set(page.texts)
    for arm in result.arms:
        assert any(text.endswith(arm.name) for text in page.texts)
        assert any(arm.verdict in text for text in page.texts)
    assert not any("not complete" in text for text in page.texts)
    for said in (
        "KN-2",
        "KN-3",
        "unigram",
        "uniform",
        "4.410",
        "n_layer",
        "123,456",
        "a.txt, b.txt",
    ):
        assert any(said in text for text in page.texts), said
    for label in page.labels():
        for said in ("1", "unigram-bias", "closed-form", "bad", "KN-2 4.520", "KN-3 4.410"):
            assert said in label
    assert len(page.labels()) == 2


def test_verdicts_come_before_pictures_and_tables(make_result) -> None:
    page = race_page(make_result()).partition("<main>")[2]
    assert page.index("What is to be said") < page.index("<svg") < page.index("<table")


def test_numbers_and_their_intervals(make_result, read) -> None:
    texts = read(race_page(make_result())).texts
    for said in ("-0.150", "[-0.170, -0.130]", "17.2", "[15.2, 19.4]", "14.020", "300"):
        assert said in texts
    for said in ("2 of 3", "3 of 3", "312.5", "[303.5, 321.5]", "diverged", "best 4.600"):
        assert said in texts
    for said in ("0 times", "1 to 9 times", "100 times or more", "7.250 → 5.600"):
        assert said in texts


def test_a_target_nobody_reached(make_result, arm, read) -> None:
    one = arm()
    none = one.arrivals[0].model_copy(update={"reached": 0, "steps": None, "seconds": None})
    texts = read(race_page(make_result(arm(arrivals=(none,))))).texts
    assert "never" in texts


def test_several_warm_ups_are_told_apart(make_result, arm, read) -> None:
    trial = arm().sweep[0]
    sweep = (trial, trial.model_copy(update={"warmup": 0.2, "loss": 4.0}))
    texts = read(race_page(make_result(arm(sweep=sweep)))).texts
    assert "0.001, warm-up 0.2" in texts
    assert "best 4.000" in texts


def test_a_single_diverged_seed_is_said(make_result, arm, read) -> None:
    texts = read(race_page(make_result(arm(diverged_seeds=(2,))))).texts
    assert "finished, 1 seed diverged" in texts


def test_an_incomplete_race_says_so_and_renders(make_result, arm, waiting, read) -> None:
    nothing = {"references": None, "targets": (), "notes": (), "network": {}, "text": {}}
    nothing |= {"protocol": {}, "machine": {}, "complete": False}
    page = read(race_page(make_result(waiting("default"), waiting("other"), **nothing)))
    assert any("not complete" in text for text in page.texts)
    assert page.tags("svg") == []
    assert "Verdicts" in page.texts
    assert "Loss" not in page.texts
    timeless = arm("other", step_seconds=None)
    page = read(race_page(make_result(timeless, waiting("default"), **nothing)))
    assert len(page.labels()) == 1
    page = read(race_page(make_result(timeless, arms=(), **nothing)))
    assert "Verdicts" not in page.texts


def test_one_seed_has_no_interval(make_result, arm, read) -> None:
    curve = arm().curve.model_copy(update={"low": None, "high": None})
    alone = Estimate(mean=-0.5, n=1)
    page = read(
        race_page(make_result(arm("a", curve=curve, final_difference=alone, milestones=())))
    )
    assert "-0.500" in page.texts
    assert page.tags("polygon") == []
    assert interval(alone, count_text) == ("-0.50", "")
    assert interval(None, count_text) == ("–", "")


def test_hostile_texts_are_text(make_result, arm, read) -> None:
    evil = arm(EVIL, source=EVIL, verdict=EVIL, gradient_norms={EVIL: 1.0})
    targets = tuple(t.model_copy(update={"name": EVIL}) for t in make_result().targets)
    facts = {EVIL: {EVIL: [EVIL, {EVIL: EVIL}]}}
    kinds = dict.fromkeys(("network", "text", "protocol", "machine"), facts)
    result = make_result(evil, baseline=EVIL, notes=(EVIL,), targets=targets, **kinds)
    markup = race_page(result)
    page = read(markup)
    assert {tag for tag, _ in page.elements} <= KNOWN
    assert all(c in "\n\u2002" or c.isprintable() for c in markup)
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    assert any("\\x1b" in text for text in page.texts)
    attributes = {name for _, found in page.elements for name in found}
    assert not any(name.startswith("on") for name in attributes)


def test_nothing_is_loaded_and_nothing_runs(make_result, read) -> None:
    markup = race_page(make_result(notes=("https://example.org",)))
    page = read(markup)
    assert {tag for tag, _ in page.elements} <= KNOWN
    assert not {name for _, found in page.elements for name in found} & {"src", "href", "style"}
    assert "url(" not in markup
    assert "@import" not in markup
    policy = next(meta for meta in page.tags("meta") if "http-equiv" in meta)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_layers_stand_in_the_order_of_the_network(make_result, arm, read) -> None:
    norms = {"embed": 1.0, "head": 2.0, "layer 0": 3.0, "layer 10": 4.0, "layer 2": 5.0}
    page = read(race_page(make_result(arm(gradient_norms=norms))))
    texts = [text for text in page.texts if text in norms]
    assert texts == ["embed", "layer 0", "layer 2", "layer 10", "head"]


def test_long_settings_are_not_cut(make_result, read) -> None:
    said = "AdamW, " * 40 + "no dropout"
    assert said in read(race_page(make_result(protocol={"optimizer": said}))).texts


def test_the_same_result_gives_the_same_page(make_result) -> None:
    assert race_page(make_result()) == race_page(make_result())
