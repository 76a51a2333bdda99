"""``race --preset paired-views --plan``: steps, proxy and time, measured on a few steps."""

from __future__ import annotations

import time

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from structinit_core.initializers.paired_views import empty_encoder
from structinit_core.linalg import resolve_device
from structinit_core.race.paired_views.job import (
    ARMS,
    BACKPROP,
    PairedViewsRace,
    step_bytes,
)
from structinit_core.race.paired_views.networks import ScratchNetwork

_TIMED = 3


class PairedViewsForecast(BaseModel):
    """The forecast of one race by arm. ``seconds``: of all runs, scoring and counting on top."""

    model_config = ConfigDict(frozen=True)
    arms: tuple[str, ...]
    runs: int
    steps: dict[str, int]
    multiply_adds: dict[str, int]
    seconds: float
    memory_bytes: int
    device: str

    def sentence(self) -> str:
        """The forecast in words."""
        return f"about {self.seconds / 60:.0f} min on {self.device}: {self.runs} runs"


def forecast_paired_views(job: PairedViewsRace) -> PairedViewsForecast:
    """Times a few steps from scratch and scales them by the proxy; writes nothing.

    Raises:
        as :func:`~structinit_core.race.paired_views.race_paired_views` before it begins.
    """
    config, protocol = job.checked_config(), job.protocol
    compute = job.compute(config, protocol.windows)
    costs = {arm: protocol.multiply_adds(arm, compute) for arm in ARMS}
    device, _ = resolve_device(job.device, costs[BACKPROP])
    network = ScratchNetwork(
        empty_encoder(config, protocol.seed, device), protocol.heads, compute.feed_forward, 0
    )
    draw = np.random.default_rng(0)
    shape = (protocol.batch, config.max_position_embeddings + 1)
    ids = torch.from_numpy(draw.integers(0, config.tokens, shape)).to(device)
    taken = []
    for _ in range(_TIMED):
        began = time.perf_counter()
        network.losses(ids[:, :-1], ids[:, -1]).backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    each = min(taken) * protocol.steps(BACKPROP, compute) / costs[BACKPROP]
    return PairedViewsForecast(
        arms=ARMS,
        runs=len(ARMS) * protocol.seeds,
        steps={arm: protocol.steps(arm, compute) for arm in ARMS},
        multiply_adds=costs,
        seconds=protocol.seeds * each * sum(costs.values()),
        memory_bytes=step_bytes(config, protocol),
        device=str(device),
    )
