"""What a race will take: measured on a few steps, before it begins."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from structinit_core.artifact import pretty_json
from structinit_core.blueprint import Blueprint
from structinit_core.checkpoint import write_checkpoint
from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.initializers.baselines import baseline_stream
from structinit_core.linalg import resolve_device
from structinit_core.model import load_model, token_losses
from structinit_core.progress import Silent
from structinit_core.race.protocol import RaceJob
from structinit_core.race.starts import refuse_job
from structinit_core.race.text import BatchOrder
from structinit_core.race.timing import step_seconds
from structinit_core.race.train import Trainer

_STEPS = 5
_SCORED = 4096


class Forecast(BaseModel):
    """The forecast of one race; the number of runs grows where a sweep's border is best.

    ``seconds``: of training and scoring; counting, solving and tokenizing come on top.
    ``memory_bytes``: of a training step, an estimate.
    """

    model_config = ConfigDict(frozen=True)
    family: str
    parameters: int
    arms: int
    runs: int
    steps: int
    step_seconds: float
    scoring_seconds: float
    seconds: float
    memory_bytes: int
    disk_bytes: int
    device: str

    def sentence(self) -> str:
        """The forecast in words."""
        return (
            f"about {self.seconds / 60:.0f} min on {self.device}: {self.runs} runs of "
            f"{self.steps} steps, {self.step_seconds:.3f} s a step"
        )


def forecast(job: RaceJob) -> Forecast:
    """Times a few steps of the network on random tokens; writes nothing that stays.

    Raises:
        IncompatibleError: a network or arm that cannot be raced.
    """
    blueprint, protocol = refuse_job(job), job.protocol
    device, _ = resolve_device(job.device, job.multiply_adds(blueprint))
    with tempfile.TemporaryDirectory(prefix="initctl-") as temporary:
        directory = Path(temporary)
        stream = baseline_stream("gpt2", blueprint, 0)
        write_checkpoint(directory, blueprint.tensors, stream, Silent())
        (directory / "config.json").write_text(pretty_json(blueprint.config), encoding="utf-8")
        model = load_model(directory, device)
    tokens = _random_tokens(blueprint, max(_SCORED, 2 * job.step_tokens(blueprint)))
    order = BatchOrder(tokens, blueprint.context, protocol.batch_tokens, 0)
    rate, warmup = protocol.rates[0], protocol.warmup
    trainer = Trainer(model, blueprint, protocol, order, protocol.steps, rate, warmup)
    step = float(np.median(step_seconds(trainer, _STEPS)))
    windows = cut_windows(np.array([[0, _SCORED]]), blueprint.context)
    began = time.perf_counter()
    token_losses(model, blueprint.vocabulary, tokens, windows, Silent())
    scoring = (time.perf_counter() - began) * protocol.eval_tokens / _SCORED
    runs = job.expected_runs
    evidence = protocol.seeds * (2 + len(protocol.evaluated_steps()))
    scorings = len(job.arms) * (job.expected_trials + evidence)
    return Forecast(
        family=blueprint.family,
        parameters=blueprint.parameters,
        arms=len(job.arms),
        runs=runs,
        steps=protocol.steps,
        step_seconds=step,
        scoring_seconds=scoring,
        seconds=job.expected_steps * step + scorings * scoring,
        memory_bytes=job.step_bytes(blueprint),
        disk_bytes=4 * blueprint.parameters * (len(job.arms) + 1),
        device=str(device),
    )


def _random_tokens(blueprint: Blueprint, count: int) -> TokenStream:
    length = max(count, 2 * blueprint.context) + 1
    ids = np.random.default_rng(0).integers(0, blueprint.vocabulary, length).astype(np.uint32)
    return TokenStream(ids, np.array([0, length]))
