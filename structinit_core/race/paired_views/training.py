"""The protocol's training loop: a constant rate, masked windows, losses at parts of the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from structinit_core.linalg import generator
from structinit_core.progress import Progress
from structinit_core.race.paired_views.job import BUDGET
from structinit_core.race.record import Point

SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Parts of the budget after which the held-out loss is measured: the source's, and the start."""


@dataclass(frozen=True)
class Trained:
    """A finished training: its curve, where it diverged, and its seconds without the scoring."""

    curve: tuple[Point, ...]
    diverged_at: int | None
    seconds: float


def train(
    network: nn.Module,
    steps: int,
    loss: Callable[[int], Tensor],
    evaluate: Callable[[], float],
    *,
    rate: float,
    weight_decay: float,
    progress: Progress,
    also: Sequence[int] = (),
) -> Trained:
    """Train ``network`` with AdamW on ``loss(step)``, step counted from 0.

    The curve is in thousandths of the budget, at :data:`SHARES` and after the steps ``also``.
    A loss that is not finite ends the run. Deterministic on one machine with fixed threads.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=weight_decay, fused=True
    )
    wanted = {round(share * BUDGET): math.ceil(share * steps) for share in SHARES}
    wanted |= {thousandth(step, steps): step for step in also if 0 < step < steps}
    curve: list[Point] = []
    seconds, training = 0.0, None
    for step in range(steps + 1):
        if step in wanted.values():
            found = evaluate()
            if not math.isfinite(found):
                return Trained(tuple(curve), thousandth(step, steps), seconds)
            curve += [
                Point(step=at, loss=found, training=training)
                for at, after in sorted(wanted.items())
                if after == step
            ]
        if step == steps:
            break
        began = time.perf_counter()
        value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        training = float(value.detach())
        seconds += time.perf_counter() - began
        if not math.isfinite(training):
            return Trained(tuple(curve), thousandth(step, steps), seconds)
        progress.advance()
    return Trained(tuple(curve), None, seconds)


def thousandth(step: int, steps: int) -> int:
    """A step as a share of the budget in thousandths."""
    return round(BUDGET * step / max(1, steps))


class Batches:
    """The training windows' numbers in the order of one seed: the same for every arm."""

    def __init__(self, windows: int, batch: int, seed: int) -> None:
        self._windows, self._batch, self._seed = windows, batch, seed
        self._each = -(-windows // batch)
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def take(self, step: int) -> NDArray[np.int64]:
        """The numbers of ``step`` (from 0); an epoch takes every window once."""
        epoch, place = divmod(step, self._each)
        if epoch != self._epoch:
            draw = generator(self._seed, "paired views order", f"epoch {epoch}")
            self._epoch, self._order = epoch, draw.permutation(self._windows)
        return self._order[place * self._batch : (place + 1) * self._batch]


def mean_loss(blocks: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Mean cross-entropy in nats of blocks of logits (n, V) and targets (n,)."""
    total, count = 0.0, 0
    for logits, targets in blocks:
        total += float(nn.functional.cross_entropy(logits, targets, reduction="sum"))
        count += len(targets)
    return total / count
