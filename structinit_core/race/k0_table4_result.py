"""``k0-table4.json``: what training does to the published cosine, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.race.result import Estimate
from structinit_core.race.statistics import estimate, excludes_zero, mean, paired
from structinit_core.race.wording import difference_text, interval, loss_text

PUBLISHED = {"cosine": 0.965, "circulant": 0.936, "loss": 1.404}
"""Means over five seeds of table 4 of the source, of 200 epochs on a text that is not public."""
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


def arm_of(name: str, deviation: float, runs: Sequence[SeedRun], unigram_loss: float) -> Arm:
    """The runs of one arm with their means, 95 % intervals and verdict.

    ``unigram_loss``: nats of knowing only how often each token occurs, which training should beat.
    """
    first, last = ([run.moments[at].measures for run in runs] for at in (0, -1))
    untrained, trained, difference = (
        {key: mean_of(moments, key) for key in MEASURES} for moments in (first, last, ())
    )
    for key in MEASURES:
        pairs = [(b[key], a[key]) for a, b in zip(first, last, strict=True)]
        known = [(b, a) for b, a in pairs if a is not None and b is not None]
        difference[key] = paired(*zip(*known, strict=True)) if known else None
    loss = estimate([run.loss for run in runs])
    return Arm(
        name=name,
        deviation=deviation,
        runs=tuple(runs),
        loss=loss,
        untrained=untrained,
        trained=trained,
        difference=difference,
        verdict=" ".join(
            [*_sentences(untrained, trained, difference), *_untaught(loss, unigram_loss)]
        ),
    )


def mean_of(moments: Sequence[Mapping[str, float | None]], key: str) -> Estimate | None:
    """The mean of one measure, with its interval, over the moments that have it."""
    values = [value for moment in moments if (value := moment[key]) is not None]
    return estimate(values) if values else None


def _sentences(
    untrained: Mapping[str, Estimate | None],
    trained: Mapping[str, Estimate | None],
    difference: Mapping[str, Estimate | None],
) -> list[str]:
    before, after = (estimate_text(found["numberings"]) for found in (untrained, trained))
    sentences = [
        f"Over all numberings of the tokens, embeddings score {before} before any training and "
        f"{after} after it, {_change(difference['numberings'])}."
    ]
    if (found := untrained["accepted"]) is not None:
        after = (
            f" and trained ones {last.mean:.3f}, {_change(difference['accepted'])}"
            if (last := trained["accepted"]) is not None
            else ""
        )
        sentences.append(
            f"Where the source would accept a model, untrained embeddings score {found.mean:.3f}"
            f"{after}; it reports {PUBLISHED['cosine']} of trained ones."
        )
    first, last = untrained["accepted_share"], trained["accepted_share"]
    if first is not None and last is not None:
        sentences.append(
            f"It would accept {first.mean:.0%} of the numberings before training and "
            f"{last.mean:.0%} after it: acceptance depends on how the tokens are numbered."
        )
    return sentences


def _untaught(loss: Estimate, unigram_loss: float) -> list[str]:
    if loss.mean < unigram_loss:
        return []
    return [
        f"The training loss ends at {loss.mean:.3f}, above the {unigram_loss:.3f} of token "
        "frequencies alone: these runs have hardly learnt anything."
    ]


def _change(difference: Estimate | None) -> str:
    """What training did, in words; without an interval beyond zero, that it did nothing known."""
    if difference is None or not excludes_zero(difference):
        return "which the interval of the difference does not tell from no change"
    word = "fall" if difference.mean < 0 else "rise"
    low, high = (difference_text(bound or 0.0) for bound in (difference.low, difference.high))
    return f"a {word} by {abs(difference.mean):.3f} (95 % interval {low} to {high})"


def estimate_text(value: Estimate | None, form: Callable[[float], str] = loss_text) -> str:
    """A mean, with its interval in brackets where there is one."""
    return " ".join(part for part in interval(value, form) if part)
