"""Loss by how often a token was seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_BORDERS = (0, 1, 10, 100, 1000, 10000, 100000)


class Bucket(BaseModel):
    """Held-out loss of tokens seen ``low`` … ``high`` − 1 times in the training text."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    low: int
    high: int | None
    tokens: int
    loss: float


def bucket_losses(losses: NDArray[np.float32], seen: NDArray[np.int64]) -> tuple[Bucket, ...]:
    """The mean of ``losses`` in each decade of ``seen``, both (scored tokens,); no empty bucket.

    ``seen`` is how often the scored token was counted; never is a bucket of its own. Sums are
    of float64.
    """
    place = np.searchsorted(_BORDERS, seen, side="right") - 1
    buckets = []
    for i, low in enumerate(_BORDERS):
        inside = losses[place == i]
        high = _BORDERS[i + 1] if i + 1 < len(_BORDERS) else None
        if len(inside):
            mean = float(inside.mean(dtype=np.float64))
            buckets.append(Bucket(low=low, high=high, tokens=len(inside), loss=mean))
    return tuple(buckets)
