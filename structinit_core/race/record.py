"""One finished training run, as it lies on disk: ``runs/KEY.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.model import Bucket, Induction

Purpose = Literal["sweep", "evidence"]


class Point(BaseModel):
    """Held-out loss in nats after ``step`` steps, and the training loss of the step before."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    step: int
    loss: float
    training: float | None = None


class Probe(BaseModel):
    """What a network does beside its loss, at one moment of a run."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    buckets: tuple[Bucket, ...]
    induction: Induction | None


class RunRecord(BaseModel):
    """One run of one start: its settings, its curve, what was measured beside it.

    ``diverged_at``: the step whose loss or gradient was not finite; the curve ends before it.
    ``start_seconds``: what making the start took, without tokenizer and encoding; ``None`` where
    nobody knows.
    ``gradient_norms``: of the first step, before clipping, by layer (``embed``, ``layer 0``,
    …, ``head``); ``start`` and ``end``: probes before and after training. Sweep runs have
    neither, and a curve of their last step only.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, allow_inf_nan=False)
    schema_id: Literal["structinit/race-run/1"] = Field("structinit/race-run/1", alias="schema")
    key: str
    source: str
    purpose: Purpose
    learning_rate: float
    warmup: float
    seed: int
    steps: int
    curve: tuple[Point, ...]
    diverged_at: int | None = None
    start_seconds: float | None = None
    wall_seconds: float = 0.0
    gradient_norms: dict[str, float] = {}
    start: Probe | None = None
    end: Probe | None = None

    @property
    def final_loss(self) -> float:
        """Held-out loss after the last step; infinite where the run diverged."""
        if self.diverged_at is not None or not self.curve:
            return float("inf")
        return self.curve[-1].loss
