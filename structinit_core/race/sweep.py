"""Choosing each arm's learning rate: a grid that grows while its border is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FACTOR = 2.0
MOST_EXTENSIONS = 4
"""Rates tried beyond the grid, in all."""


@dataclass(frozen=True)
class Setting:
    """A peak learning rate, and the share of steps it is warmed up over."""

    rate: float
    warmup: float


def best_setting(
    rates: Sequence[float],
    warmup: float,
    warmups: Sequence[float],
    trial: Callable[[Setting], float],
) -> Setting | None:
    """The setting with the smallest ``trial`` loss (infinite: diverged); ``None`` if all diverge.

    The rates first: half the smallest, or twice the largest, follows while it is the best,
    at most :data:`MOST_EXTENSIONS` times; where all diverge, half the smallest. Then the other
    ``warmups`` at the best rate. Of equal losses the smaller rate wins.
    """
    losses = {rate: trial(Setting(rate, warmup)) for rate in sorted(rates)}
    for _ in range(MOST_EXTENSIONS):
        best = min(losses, key=lambda rate: (losses[rate], rate))
        if best == min(losses):
            tried = best / FACTOR
        elif best == max(losses):
            tried = best * FACTOR
        else:
            break
        losses[tried] = trial(Setting(tried, warmup))
    best = min(losses, key=lambda rate: (losses[rate], rate))
    found = {Setting(best, warmup): losses[best]}
    for other in warmups:
        if other != warmup:
            found[Setting(best, other)] = trial(Setting(best, other))
    setting = min(found, key=lambda one: (found[one], one.warmup))
    return setting if math.isfinite(found[setting]) else None
