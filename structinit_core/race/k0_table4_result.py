"""``k0-table4.json``: what training does to the published cosine, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.diagnose.markup import document, escaped, figure, section, table
from structinit_core.race.frame import Level, Line
from structinit_core.race.lines import line_chart
from structinit_core.race.result import Estimate
from structinit_core.race.statistics import estimate, excludes_zero, mean, paired
from structinit_core.race.wording import interval

PUBLISHED = {"cosine": 0.965, "circulant": 0.936, "loss": 1.404}
"""Means over five seeds of table 4 of the source; it trains on a text that is not public."""
ACCEPTED = 0.85
"""Circulant score from which the source counts a model as converged."""
MEASURES = {
    "cosine": "cosine, FFT form",
    "circulant": "circulant score",
    "numberings": "cosine, mean over numberings",
    "accepted": f"cosine where the score is {ACCEPTED} and more",
    "accepted_share": "share of numberings with such a score",
    "matrix_cosine": "cosine, matrix form",
}
"""What is measured of embeddings, and its title."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, allow_inf_nan=False)


class Moment(_Frozen):
    """One embedding matrix against the text's log-counts.

    cosines: of its kernel's first row and k₀ in the FFT form, circulants: scores of its kernel,
    both for every numbering of the tokens, the text's own first; matrix_cosine: with k₀ in the
    matrix form.
    """

    step: int
    cosines: tuple[float, ...]
    circulants: tuple[float, ...]
    matrix_cosine: float

    @property
    def measures(self) -> dict[str, float | None]:
        """The numbers of the tables; ``accepted`` is of numberings whose score is accepted."""
        pairs = zip(self.cosines, self.circulants, strict=True)
        taken = [cosine for cosine, score in pairs if score >= ACCEPTED]
        return {
            "cosine": self.cosines[0],
            "circulant": self.circulants[0],
            "numberings": mean(self.cosines),
            "accepted": mean(taken) if taken else None,
            "accepted_share": len(taken) / len(self.cosines),
            "matrix_cosine": self.matrix_cosine,
        }


class SeedRun(_Frozen):
    """One training run: ``moments`` from step 0, which is the untrained control, to the end."""

    seed: int
    loss: float
    moments: tuple[Moment, ...]


class Arm(_Frozen):
    """The runs that begin with embeddings of one ``deviation``, and what they say."""

    name: str
    deviation: float
    runs: tuple[SeedRun, ...]
    loss: Estimate
    untrained: dict[str, Estimate | None]
    trained: dict[str, Estimate | None]
    difference: dict[str, Estimate | None]
    verdict: str


class K0Table4Result(_Frozen):
    """The whole reproduction. ``difference`` is trained − untrained, paired by seed."""

    schema_id: Literal["structinit/k0-table4/1"] = Field("structinit/k0-table4/1", alias="schema")
    protocol: dict[str, Any]
    unigram_loss: float
    negative_eigenvalues: int
    published: dict[str, float]
    arms: tuple[Arm, ...]


def arm_of(name: str, deviation: float, runs: Sequence[SeedRun]) -> Arm:
    """The runs of one arm with their means, 95 % intervals and verdict."""
    first, last = ([run.moments[at].measures for run in runs] for at in (0, -1))
    untrained, trained, difference = (
        {key: _mean_of(moments, key) for key in MEASURES} for moments in (first, last, ())
    )
    for key in MEASURES:
        pairs = [(b[key], a[key]) for a, b in zip(first, last, strict=True)]
        known = [(b, a) for b, a in pairs if a is not None and b is not None]
        difference[key] = paired(*zip(*known, strict=True)) if known else None
    return Arm(
        name=name,
        deviation=deviation,
        runs=tuple(runs),
        loss=estimate([run.loss for run in runs]),
        untrained=untrained,
        trained=trained,
        difference=difference,
        verdict=_verdict(untrained, trained, difference["numberings"]),
    )


def result_page(result: K0Table4Result) -> str:
    """``result`` as one self-contained page: verdicts, curves, means, every run."""
    verdicts = "".join(
        f"<li><strong>{escaped(arm.name)}</strong>: {escaped(arm.verdict, 2000)}</li>"
        for arm in result.arms
    )
    return document(
        "The k0 cosine, trained and untrained",
        "race",
        section("Verdicts", f"<ul>{verdicts}</ul>"),
        section("Curve", _chart(result)),
        table("Means over seeds", ("", *MEASURES.values(), "training loss"), _means(result.arms)),
        table(
            "Every run, the text's own numbering",
            ("", "untrained", "trained", "training loss"),
            _runs(result.arms),
        ),
        section("Conditions", _conditions(result)),
    )


def _mean_of(moments: Sequence[Mapping[str, float | None]], key: str) -> Estimate | None:
    values = [value for moment in moments if (value := moment[key]) is not None]
    return estimate(values) if values else None


def _verdict(
    untrained: Mapping[str, Estimate | None],
    trained: Mapping[str, Estimate | None],
    difference: Estimate | None,
) -> str:
    before, after = (_shown(found["numberings"], _plain) for found in (untrained, trained))
    sentences = [
        f"Over all numberings of the tokens, trained embeddings score {after}, the same before any "
        f"training {before}."
    ]
    if difference is None or not excludes_zero(difference):
        sentences.append("The interval of the difference does not exclude none.")
    else:
        word = "falls" if difference.mean < 0 else "rises"
        low, high = difference.low or 0.0, difference.high or 0.0
        sentences.append(
            f"With training the cosine {word} by {abs(difference.mean):.3f} "
            f"(95 % interval {low:+.3f} to {high:+.3f})."
        )
    if (found := untrained["accepted"]) is not None:
        sentences.append(
            f"Where the source would accept a model, untrained embeddings score {found.mean:.3f}, "
            f"and it reports {PUBLISHED['cosine']} of trained ones."
        )
    if (share := untrained["accepted_share"]) is not None:
        sentences.append(
            f"Untrained, {share.mean:.0%} of the numberings are accepted: acceptance depends on "
            "how the tokens are numbered."
        )
    return " ".join(sentences)


def _chart(result: K0Table4Result) -> str:
    key, what, lines = "numberings", "Cosine with k0 in the FFT form, over numberings", []
    for number, arm in enumerate(result.arms, 1):
        steps = tuple(float(moment.step) for moment in arm.runs[0].moments)
        points = [
            found
            for at in range(len(steps))
            if (found := _mean_of([run.moments[at].measures for run in arm.runs], key))
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
            form = _signed if found is arm.difference else _plain
            loss = _shown(arm.loss, _plain) if found is arm.trained else ""
            cells = [*(_shown(found[key], form) for key in MEASURES), loss]
            rows.append((escaped(f"{arm.name}, {name}"), cells))
    published = {MEASURES[key]: _plain(PUBLISHED[key]) for key in ("cosine", "circulant")}
    cells = [published.get(title, "–") for title in MEASURES.values()]
    return [*rows, ("published, trained", [*cells, _plain(PUBLISHED["loss"])])]


def _runs(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    return [
        (
            escaped(f"{arm.name}, seed {run.seed}"),
            [*(_plain(run.moments[at].cosines[0]) for at in (0, -1)), _plain(run.loss)],
        )
        for arm in arms
        for run in arm.runs
    ]


def _conditions(result: K0Table4Result) -> str:
    facts = [f"{escaped(name)} {escaped(str(value))}" for name, value in result.protocol.items()]
    said = (
        f"A drawn text of Zipf topics, the source's being private; knowing only how often each "
        f"token occurs scores {result.unigram_loss:.3f} nats. {result.negative_eigenvalues} of the "
        f"log-counts' eigenvalues are negative. The source accepts a model as converged from a "
        f"circulant score of {ACCEPTED} on."
    )
    return f"<p>{said}</p><p class='soft'>{', '.join(facts)}</p>"


def _shown(value: Estimate | None, form: Callable[[float], str]) -> str:
    return " ".join(part for part in interval(value, form) if part)


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"
