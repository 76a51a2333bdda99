"""``graph-predictions.json``: the texts, every run, and what they say of each prediction."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.race.result import Estimate

Verdict = Literal["holds", "does not hold", "not decided", "out of reach"]

DEFAULT = "default"
UNIGRAM = "unigram-bias"
COMPILED = "compiled"
COMPILED_UNIGRAM = "compiled, unigram-bias"
PERMUTED = "compiled, particles permuted"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, allow_inf_nan=False)


class TextFacts(_Frozen):
    """One text. matched, extra: shares of its words that are particles, and extra words."""

    name: str
    documents: int
    words: int
    matched: float
    extra: float
    train_tokens: int
    scored_tokens: int
    vocabulary: int


class GraphFacts(_Frozen):
    """One graph as compiled: of how many links, and how concentrated.

    gini, top: of its neurons' stakes, ``None`` where links weigh alike; effective_rank: d*,
    exp of the entropy of the leading singular values' shares.
    """

    text: str
    arm: str
    particles: int
    links: int
    effective_rank: float
    gini: float | None = None
    top: float | None = None


class SeedRun(_Frozen):
    """Held-out losses in nats after ``steps``; a run that diverged ends where it did."""

    seed: int
    steps: tuple[int, ...]
    losses: tuple[float, ...]


class Trial(_Frozen):
    """One run of the sweep; ``None``: it diverged."""

    rate: float
    loss: float | None


class ArmRuns(_Frozen):
    """One start on one text, at the rate that its sweep chose."""

    text: str
    arm: str
    rate: float
    sweep: tuple[Trial, ...]
    runs: tuple[SeedRun, ...]


class Number(_Frozen):
    """One number behind a verdict, paired by seed."""

    name: str
    value: Estimate


class Prediction(_Frozen):
    """One prediction of the source; the first of ``numbers`` decides."""

    number: int
    title: str
    verdict: Verdict
    said: str
    numbers: tuple[Number, ...]


class GraphPredictionsResult(_Frozen):
    """The whole test."""

    schema_id: Literal["structinit/graph-predictions/1"] = Field(
        "structinit/graph-predictions/1", alias="schema"
    )
    protocol: dict[str, Any]
    texts: tuple[TextFacts, ...]
    graphs: tuple[GraphFacts, ...]
    arms: tuple[ArmRuns, ...]
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...]
