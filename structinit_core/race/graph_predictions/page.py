"""``graph-predictions.html``: verdicts, curves, rates and coverage on one self-contained page."""

from __future__ import annotations

from structinit_core.diagnose.markup import bullets, document, escaped, figure, section, table
from structinit_core.race.frame import Line
from structinit_core.race.graph_predictions.result import ArmRuns, GraphPredictionsResult
from structinit_core.race.lines import line_chart
from structinit_core.race.result import Curve
from structinit_core.race.statistics import Table
from structinit_core.race.tables import fact_line
from structinit_core.race.wording import loss_text


def result_page(result: GraphPredictionsResult) -> str:
    """``result`` as one self-contained page."""
    verdicts = (
        f"<strong>{one.number}, {escaped(one.title)}: {one.verdict}</strong>. "
        f"{escaped(one.said, 4000)}"
        for one in result.predictions
    )
    notes = (escaped(note, 2000) for note in result.notes)
    return document(
        "Predictions of a compiled graph, tested",
        "race",
        section("Verdicts", bullets(verdicts)),
        section("Curves", *(_chart(result, text.name) for text in result.texts)),
        table(
            "Starts",
            ("", "rate", "loss at step 0", "last loss"),
            [(escaped(f"{arm.text}, {arm.arm}"), cells(arm)) for arm in result.arms],
        ),
        table(
            "Texts",
            ("", "words", "matched", "extra words", "trained tokens", "scored", "vocabulary"),
            [
                (
                    escaped(text.name),
                    [
                        f"{text.words:,}",
                        f"{text.matched:.1%}",
                        f"{text.extra:.1%}",
                        f"{text.train_tokens:,}",
                        f"{text.scored_tokens:,}",
                        f"{text.vocabulary:,}",
                    ],
                )
                for text in result.texts
            ],
        ),
        section("Conditions", bullets(notes), fact_line(dict(sorted(result.protocol.items())))),
    )


def cells(arm: ArmRuns) -> list[str]:
    """Rate, and mean losses before and after training."""
    points = curve(arm)
    return [f"{arm.rate:g}", loss_text(points.mean[0]), loss_text(points.mean[-1])]


def curve(arm: ArmRuns) -> Curve:
    """The mean curve with its band."""
    return Table.of([dict(zip(r.steps, r.losses, strict=True)) for r in arm.runs]).curve()


def _chart(result: GraphPredictionsResult, text: str) -> str:
    lines = []
    for number, arm in enumerate((arm for arm in result.arms if arm.text == text), 1):
        points = curve(arm)
        steps = tuple(map(float, points.steps))
        lines.append(Line(number, arm.arm, steps, points.mean, points.low, points.high))
    what = f"Held-out loss on {text}"
    return figure(
        line_chart(lines, (), what=what, unit="steps"),
        escaped(f"{what} over training steps, with the 95 % interval over seeds"),
    )
