"""``k0-table4.html``: verdicts, curves, means and every run on one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence

from structinit_core.diagnose.markup import bullets, document, escaped, figure, section, table
from structinit_core.race.frame import Level, Line
from structinit_core.race.k0_table4_result import (
    ACCEPTED,
    MEASURES,
    PUBLISHED,
    Arm,
    K0Table4Result,
    estimate_text,
    mean_of,
)
from structinit_core.race.lines import line_chart
from structinit_core.race.tables import fact_line
from structinit_core.race.wording import difference_text, loss_text


def result_page(result: K0Table4Result) -> str:
    """``result`` as one self-contained page: verdicts, curves, means, every run."""
    verdicts = (
        f"<strong>{escaped(arm.name)}</strong>: {escaped(arm.verdict, 2000)}" for arm in result.arms
    )
    return document(
        "The k0 cosine, trained and untrained",
        "race",
        section("Verdicts", bullets(verdicts)),
        section("Curve", _chart(result)),
        table("Means over seeds", ("", *MEASURES.values(), "training loss"), _means(result.arms)),
        table(
            "Every run, the text's own numbering",
            ("", "untrained", "trained", "training loss"),
            _runs(result.arms),
        ),
        section("Conditions", _conditions(result)),
    )


def _chart(result: K0Table4Result) -> str:
    key, what, lines = "numberings", "Cosine with k0 in the FFT form, over numberings", []
    for number, arm in enumerate(result.arms, 1):
        steps = tuple(float(moment.step) for moment in arm.runs[0].moments)
        points = [
            found
            for at in range(len(steps))
            if (found := mean_of([run.moments[at].measures for run in arm.runs], key))
        ]
        middle = tuple(point.mean for point in points)
        low = tuple(point.low for point in points if point.low is not None) or None
        high = tuple(point.high for point in points if point.high is not None) or None
        lines.append(Line(number, arm.name, steps, middle, low, high))
    level = Level("published, trained", PUBLISHED["cosine"])
    picture = line_chart(lines, [level], what=what, unit="steps")
    return figure(picture, f"{what} over training steps, with the 95 % interval over seeds")


def _means(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    rows = []
    for arm in arms:
        for name, found in (
            ("untrained", arm.untrained),
            ("trained", arm.trained),
            ("trained − untrained", arm.difference),
        ):
            form = difference_text if found is arm.difference else loss_text
            loss = estimate_text(arm.loss) if found is arm.trained else ""
            cells = [*(estimate_text(found[key], form) for key in MEASURES), loss]
            rows.append((escaped(f"{arm.name}, {name}"), cells))
    published = {MEASURES[key]: loss_text(PUBLISHED[key]) for key in ("cosine", "circulant")}
    cells = [published.get(title, "–") for title in MEASURES.values()]
    return [*rows, ("published, trained", [*cells, loss_text(PUBLISHED["loss"])])]


def _runs(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    return [
        (
            escaped(f"{arm.name}, seed {run.seed}"),
            [*(loss_text(run.moments[at].cosines[0]) for at in (0, -1)), loss_text(run.loss)],
        )
        for arm in arms
        for run in arm.runs
    ]


def _conditions(result: K0Table4Result) -> str:
    protocol = result.protocol
    epochs = protocol["steps"] * protocol["batch_tokens"] / protocol["tokens"]
    said = (
        f"A drawn text of Zipf topics, the source's not being public, trained on for {epochs:.0f} "
        f"epochs, where the source has 200 of a text whose length it does not say. "
        f"Knowing only how often each token occurs scores {result.unigram_loss:.3f} nats. "
        f"{result.negative_eigenvalues} of the log-counts' eigenvalues are negative. The source "
        f"accepts a model as converged from a circulant score of {ACCEPTED} on."
    )
    return f"<p>{said}</p>{fact_line(protocol)}"
