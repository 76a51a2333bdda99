"""The time of a step, taken from all arms in turns, so that no arm has the busy moment."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from structinit_core.race.runner import Runner
from structinit_core.race.starts import Start
from structinit_core.race.sweep import Setting
from structinit_core.race.train import Trainer

_ROUNDS = 5
_WARMING, _TIMED = 2, 5


def median_step_seconds(runner: Runner, starts: Sequence[tuple[Start, Setting]]) -> float:
    """The median seconds of a training step over all starts, which are one network.

    Each round loads every start in turn, takes two steps unmeasured and then five that are.
    One number for all: what differs between medians of one network is the machine's noise.
    """
    runner.progress.stage("timing steps", _ROUNDS * len(starts))
    protocol, seconds = runner.job.protocol, list[float]()
    for _ in range(_ROUNDS):
        for start, setting in starts:
            trainer = runner.trainer(start, setting, protocol.seed, protocol.steps)
            seconds += step_seconds(trainer, _WARMING + _TIMED)[_WARMING:]
            runner.progress.advance()
    return float(np.median(seconds))


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
