"""Step times of all arms, taken in turns, so that a busy machine slows them all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from structinit_core.race.runner import Runner
from structinit_core.race.starts import Start
from structinit_core.race.sweep import Setting
from structinit_core.race.train import Trainer

_ROUNDS = 5
_WARMING, _TIMED = 2, 5


def median_step_seconds(
    runner: Runner, starts: Mapping[str, tuple[Start, Setting]]
) -> dict[str, float]:
    """The median seconds of one training step from each start, over rounds that take turns.

    Each round loads a start, takes two steps unmeasured and then five that are.
    """
    runner.progress.stage("timing steps", _ROUNDS * len(starts))
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(_ROUNDS):
        for name, (start, setting) in starts.items():
            trainer = runner.trainer(start, setting, runner.job.protocol.seed)
            seconds[name] += step_seconds(trainer, _WARMING + _TIMED)[_WARMING:]
            runner.progress.advance()
    return {name: float(np.median(taken)) for name, taken in seconds.items() if taken}


def step_seconds(trainer: Trainer, steps: int) -> list[float]:
    """Seconds of each of the first ``steps`` steps; a step that diverges ends them."""
    taken = []
    for step in range(steps):
        began = time.perf_counter()
        trainer.gradient(step)
        finite = trainer.update(step)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
        if not finite:
            break
    return taken
