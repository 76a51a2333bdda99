"""Which of an arm's runs count, and how far the arm has come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from structinit_core.race.record import RunRecord
from structinit_core.race.result import Status


@dataclass(frozen=True)
class ArmRuns:
    """One arm's records, sweep and evidence mixed, with its chosen setting and planned seeds.

    ``learning_rate`` and ``warmup`` are ``None`` until the sweep has chosen;
    ``step_seconds`` is the median measured time of one step.
    """

    name: str
    source: str
    runs: Sequence[RunRecord]
    learning_rate: float | None
    warmup: float | None
    seeds: tuple[int, ...]
    step_seconds: float | None


@dataclass(frozen=True)
class Evidence:
    """An arm's evidence in the order of its planned seeds; ``live`` runs did not diverge."""

    arm: ArmRuns
    runs: tuple[RunRecord, ...]
    status: Status

    @property
    def live(self) -> dict[int, RunRecord]:
        """Runs that did not diverge, by seed."""
        return {run.seed: run for run in self.runs if math.isfinite(run.final_loss)}

    @property
    def diverged_seeds(self) -> tuple[int, ...]:
        """Seeds of those that did."""
        return tuple(run.seed for run in self.runs if run.seed not in self.live)


def collect(arm: ArmRuns, budget: int) -> Evidence:
    """The arm's evidence and status; an undiverged curve without its last step is no evidence."""
    by_seed: dict[int, RunRecord] = {}
    for run in arm.runs:
        setting = (run.learning_rate, run.warmup) == (arm.learning_rate, arm.warmup)
        whole = run.diverged_at is not None or (run.curve and run.curve[-1].step == budget)
        if run.purpose == "evidence" and setting and run.steps == budget and whole:
            by_seed.setdefault(run.seed, run)
    runs = tuple(by_seed[seed] for seed in dict.fromkeys(arm.seeds) if seed in by_seed)
    if arm.learning_rate is None or arm.warmup is None:
        trials = [run for run in arm.runs if run.purpose == "sweep"]
        dead = bool(trials) and not any(math.isfinite(run.final_loss) for run in trials)
        return Evidence(arm, (), "diverged" if dead else "unfinished")
    if not runs or len(runs) < len(set(arm.seeds)):
        return Evidence(arm, runs, "unfinished")
    dead = not any(math.isfinite(run.final_loss) for run in runs)
    return Evidence(arm, runs, "diverged" if dead else "finished")
