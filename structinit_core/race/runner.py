"""Runs of one race: found on disk, or trained now and kept."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from structinit_core import __version__
from structinit_core.artifact import pretty_json, publish_text
from structinit_core.blueprint import Blueprint
from structinit_core.errors import LimitError
from structinit_core.linalg import Device
from structinit_core.model import load_model
from structinit_core.progress import Progress
from structinit_core.race.arms import Arm
from structinit_core.race.measure import Meter
from structinit_core.race.protocol import RaceJob
from structinit_core.race.record import Purpose, RunRecord
from structinit_core.race.starts import Start, Starts, identity
from structinit_core.race.store import RunStore, read_note, run_key
from structinit_core.race.sweep import Setting
from structinit_core.race.text import BatchOrder, RaceText
from structinit_core.race.train import Trainer, run

_TEMPORARY = ".start-"
_NOTE = "start.json"


@dataclass
class Entrant:
    """One arm of a race in progress: its runs so far, and the setting its sweep chose."""

    arm: Arm
    identity: str
    runs: list[RunRecord] = field(default_factory=list)
    setting: Setting | None = None
    step_seconds: float | None = None


class Runner:
    """Gives the record of any run of a race, training only where there is none yet."""

    def __init__(
        self,
        job: RaceJob,
        blueprint: Blueprint,
        text: RaceText,
        output: Path,
        device: Device,
        threads: int,
        progress: Progress,
    ) -> None:
        self.job, self.blueprint, self.text = job, blueprint, text
        self.output, self.device, self.progress = output, device, progress
        self._threads = threads
        self._starts = Starts(job, blueprint, text)
        self._store = RunStore(output / "runs")
        self._meter = Meter(blueprint, text, job.protocol.seed)
        self._began = time.perf_counter()
        self._walls: list[float] = []
        self._asked = 0
        for unfinished in output.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self._restore_threads()

    def record(self, entrant: Entrant, setting: Setting, seed: int, purpose: Purpose) -> RunRecord:
        """The record of one run, added to the entrant's.

        Raises:
            LimitError: the budget would end before a run that has to be trained.
        """
        self._asked += 1
        key = run_key(
            self.shared()
            | {
                "start": entrant.identity,
                "rate": setting.rate,
                "warmup": setting.warmup,
                "steps": self._steps(purpose),
                "seed": seed,
                "purpose": purpose,
            }
        )
        record = self._store.get(key)
        if record is None:
            self._within_budget()
            began = time.perf_counter()
            with self.start(entrant, seed, keep=purpose == "sweep") as start:
                record = self._train(entrant.arm, start, setting, seed, purpose, key)
            self._walls.append(time.perf_counter() - began)
            self._store.put(record)
        entrant.runs.append(record)
        return record

    @contextmanager
    def start(self, entrant: Entrant, seed: int, keep: bool) -> Iterator[Start]:
        """The start of an entrant; ``keep`` leaves it in ``starts/`` until the race is complete."""
        key = run_key(self.shared() | {"start": entrant.identity, "seed": seed})
        kept = self.output / "starts" / key[:24]
        known = read_note(kept / _NOTE)
        if known.get("key") == key:
            yield Start(kept, known.get("seconds"))
            return
        shutil.rmtree(kept, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=self.output) as temporary:
            work = Path(temporary) / "start"
            work.mkdir()
            start = self._starts.build(entrant.arm, seed, work, self.progress)
            self._restore_threads()
            if keep and start.directory == work:
                note = {"key": key, "seconds": start.seconds}
                publish_text(work / _NOTE, pretty_json(note))
                kept.parent.mkdir(exist_ok=True)
                start = Start(work.rename(kept), start.seconds)
            yield start

    def trainer(self, start: Start, setting: Setting, seed: int, steps: int) -> Trainer:
        """The network of ``start`` before the first of ``steps`` steps."""
        protocol = self.job.protocol
        model = load_model(start.directory, self.device)
        order = BatchOrder(self.text.train, self.blueprint.context, protocol.batch_tokens, seed)
        return Trainer(model, self.blueprint, protocol, order, steps, setting.rate, setting.warmup)

    def shared(self) -> dict[str, Any]:
        """What every run of this race has in common, and a run of another race may not.

        ``threads`` is among it: with another number the last bits of a loss differ.
        """
        apart = {"steps", "sweep_steps", "rates", "warmup", "warmups", "seeds", "seed"}
        return {
            "version": __version__,
            "config": self.blueprint.config,
            "text": self.text.digest,
            "protocol": self.job.protocol.model_dump(mode="json", exclude=apart),
            "device": self.device.type,
            "threads": self._threads,
        }

    def _train(
        self, arm: Arm, start: Start, setting: Setting, seed: int, purpose: Purpose, key: str
    ) -> RunRecord:
        evidence, steps = purpose == "evidence", self._steps(purpose)
        began = time.perf_counter()
        where = f"{arm.name}, rate {setting.rate:g}, seed {seed}"
        self.progress.stage(f"{self._position()}: {where}", steps)
        trainer = self.trainer(start, setting, seed, steps)
        model = trainer.model
        before = self._meter.probe(model) if evidence else None
        outcome = run(
            trainer,
            self.blueprint,
            steps,
            self.job.protocol.evaluated_steps() if evidence else (steps,),
            self._meter.loss,
            self.progress,
        )
        finished = evidence and outcome.diverged_at is None
        return RunRecord(
            key=key,
            source=arm.source,
            purpose=purpose,
            learning_rate=setting.rate,
            warmup=setting.warmup,
            seed=seed,
            steps=steps,
            curve=outcome.curve,
            diverged_at=outcome.diverged_at,
            start_seconds=start.seconds,
            wall_seconds=time.perf_counter() - began,
            gradient_norms=outcome.gradient_norms if evidence else {},
            start=before,
            end=self._meter.probe(model) if finished else None,
        )

    def _steps(self, purpose: Purpose) -> int:
        protocol = self.job.protocol
        return protocol.steps if purpose == "evidence" else protocol.trial_steps

    def _restore_threads(self) -> None:
        """Counting changes the threads of the OpenMP runtime that torch shares with it."""
        torch.set_num_threads(self._threads)

    def _position(self) -> str:
        """Which run of about how many, and the time left at the pace so far."""
        total = max(self._asked, self.job.expected_runs)
        if not self._walls:
            return f"run {self._asked} of about {total}"
        left = (total - self._asked + 1) * sum(self._walls) / len(self._walls)
        return f"run {self._asked} of about {total}, {left / 60:.0f} min left"

    def _within_budget(self) -> None:
        allowed = self.job.budget_seconds
        typical = sum(self._walls) / len(self._walls) if self._walls else 0.0
        if allowed is not None and time.perf_counter() - self._began + typical > allowed:
            raise LimitError(
                f"the budget of {allowed:g} seconds ends before the next run would",
                hint="finished runs are kept; run the same command again to go on",
            )


def entrants(job: RaceJob) -> list[Entrant]:
    """The arms of ``job`` before their first run."""
    return [Entrant(arm, identity(arm)) for arm in job.arms]
