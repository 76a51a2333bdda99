"""``race.json``: what every start is worth, with intervals."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from structinit_core.model import Bucket, Induction

Status = Literal["finished", "diverged", "unfinished"]
MILESTONES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Parts of the budget after which the loss of every arm is told."""
TARGETS = (0.1, 0.3, 0.6, 1.0)
"""Parts of the baseline's budget whose losses are targets."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, allow_inf_nan=False)


class Estimate(_Frozen):
    """A mean over ``n`` seeds with its 95 % t interval; no interval from one seed."""

    mean: float
    low: float | None = None
    high: float | None = None
    n: int


class References(_Frozen):
    """What counting scores on the same held-out tokens, in nats."""

    uniform: float
    unigram: float
    kn2: float
    kn3: float
    tokens: int


class Trial(_Frozen):
    """One sweep run: the held-out loss at its end, ``None`` where it diverged."""

    learning_rate: float
    warmup: float
    loss: float | None


class Curve(_Frozen):
    """Held-out loss over steps: one row of ``runs`` a seed; the band is the 95 % interval."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    runs: tuple[tuple[float, ...], ...]


class Milestone(_Frozen):
    """Loss after a share of the budget, and its paired difference to the baseline's."""

    share: float
    step: int
    loss: Estimate
    difference: Estimate | None


class Target(_Frozen):
    """A loss to reach, named after where it comes from."""

    name: str
    loss: float


class Arrival(_Frozen):
    """When an arm reached a target: over the ``reached`` of ``seeds`` runs that did."""

    target: str
    reached: int
    seeds: int
    steps: Estimate | None
    seconds: Estimate | None


class BucketChange(_Frozen):
    """Loss of one frequency bucket before and after training, mean over seeds."""

    start: Bucket
    end: Bucket


class ArmResult(_Frozen):
    """One arm. Seconds are ``start_seconds`` + steps × ``step_seconds``.

    ``final_difference`` (nats) and ``seconds_saved`` are paired by seed. The latter compares
    when each run first reached the loss that the baseline ended with at the same seed, with
    when the baseline itself did, which is its end unless it had been there before; positive is
    sooner, ``None`` where a seed did not get there.
    ``crossover_step``: where a lead over the baseline was lost for good.
    """

    name: str
    source: str
    status: Status
    learning_rate: float | None
    warmup: float | None
    sweep: tuple[Trial, ...]
    seeds: tuple[int, ...]
    diverged_seeds: tuple[int, ...]
    start_seconds: float | None
    step_seconds: float | None
    curve: Curve | None
    milestones: tuple[Milestone, ...]
    arrivals: tuple[Arrival, ...]
    final_difference: Estimate | None
    seconds_saved: Estimate | None
    crossover_step: int | None
    gradient_norms: dict[str, float]
    buckets: tuple[BucketChange, ...]
    induction_start: Induction | None
    induction_end: Induction | None
    verdict: str


class RaceResult(_Frozen):
    """The whole comparison; ``complete`` is false while runs are missing."""

    schema_id: Literal["structinit/race/1"] = Field("structinit/race/1", alias="schema")
    complete: bool
    baseline: str
    network: dict[str, Any]
    text: dict[str, Any]
    protocol: dict[str, Any]
    machine: dict[str, Any]
    references: References | None
    targets: tuple[Target, ...]
    arms: tuple[ArmResult, ...]
    notes: tuple[str, ...] = ()
