"""Training every start on one text: a sweep for each, then the seeds that count."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import NumericalError
from structinit_core.initializers.graph import GraphTokens
from structinit_core.linalg import Device
from structinit_core.model import load_model, token_losses
from structinit_core.progress import Progress, Silent
from structinit_core.race.graph_predictions.protocol import GraphPredictionsProtocol
from structinit_core.race.graph_predictions.result import ArmRuns, SeedRun, Trial
from structinit_core.race.graph_predictions.sequences import RaceText
from structinit_core.race.graph_predictions.starts import Start, write_start
from structinit_core.race.sweep import Setting, best_setting
from structinit_core.race.text import BatchOrder
from structinit_core.race.train import Trainer, run

StartOf = Callable[[int], Start]
"""What an arm begins with at a seed."""


@dataclass(frozen=True)
class Bench:
    """What all runs on one text share."""

    protocol: GraphPredictionsProtocol
    tokens: GraphTokens
    text: RaceText
    device: Device
    progress: Progress

    def race(self, arms: Mapping[str, StartOf]) -> list[ArmRuns]:
        """The runs of every arm."""
        return [self._arm(name, start_of) for name, start_of in arms.items()]

    def _arm(self, name: str, start_of: StartOf) -> ArmRuns:
        protocol, trials = self.protocol, []
        with self._started(start_of(protocol.seed), protocol.seed) as start:

            def trial(setting: Setting) -> float:
                curve = self._trained(
                    name, start, setting.rate, protocol.seed, protocol.sweep_steps, ()
                )
                loss = curve.losses[-1] if curve.steps[-1] == protocol.sweep_steps else math.inf
                trials.append(Trial(rate=setting.rate, loss=loss if loss < math.inf else None))
                return loss

            warmup = protocol.training().warmup
            setting = best_setting(protocol.rates, warmup, (), trial)
        if setting is None:
            raise NumericalError(f"{name} diverged at every learning rate")
        runs = []
        for seed in protocol.evidence_seeds:
            with self._started(start_of(seed), seed) as start:
                found = self._trained(
                    name, start, setting.rate, seed, protocol.steps, protocol.evaluated
                )
            if found.steps[-1] != protocol.steps:
                raise NumericalError(f"{name} diverged at seed {seed}")
            runs.append(found)
        return ArmRuns(
            text=self.text.facts.name,
            arm=name,
            rate=setting.rate,
            sweep=tuple(sorted(trials, key=lambda one: one.rate)),
            runs=tuple(runs),
        )

    @contextmanager
    def _started(self, start: Start, seed: int) -> Iterator[Path]:
        counted, protocol = self.text.counted, self.protocol
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            write_start(place, start, counted, self.tokens, protocol, seed)
            yield place

    def _trained(
        self,
        name: str,
        start: Path,
        rate: float,
        seed: int,
        steps: int,
        evaluated: tuple[int, ...],
    ) -> SeedRun:
        protocol, text = self.protocol, self.text
        vocabulary = len(text.counted)
        blueprint = make_blueprint(protocol.config(self.tokens, vocabulary))
        self.progress.stage(f"{text.facts.name}, {name}, rate {rate:g}, seed {seed}", steps)
        order = BatchOrder(text.train, blueprint.context, protocol.batch_tokens, seed)
        training = protocol.training()
        trainer = Trainer(
            load_model(start, self.device), blueprint, training, order, steps, rate, training.warmup
        )

        def loss(model: torch.nn.Module) -> float:
            losses = token_losses(model, vocabulary, text.valid, text.windows, Silent())
            return float(losses.mean(dtype=np.float64))

        outcome = run(trainer, blueprint, steps, evaluated or (0, steps), loss, self.progress)
        if not outcome.curve:
            raise NumericalError(f"{name} has no finite loss before training")
        return SeedRun(
            seed=seed,
            steps=tuple(point.step for point in outcome.curve),
            losses=tuple(point.loss for point in outcome.curve),
        )
