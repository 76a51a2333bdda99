"""What is measured beside the loss: by frequency, and on repeated sequences."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.corpus import scored_positions
from structinit_core.model import (
    bucket_losses,
    induction_losses,
    repeated_sequences,
    token_losses,
)
from structinit_core.progress import Silent
from structinit_core.race.record import Probe
from structinit_core.race.text import RaceText


class Meter:
    """Losses of networks of one race on its held-out windows, always the same ones."""

    def __init__(self, blueprint: Blueprint, text: RaceText, seed: int) -> None:
        self._vocabulary, self._text = blueprint.vocabulary, text
        targets = text.valid.ids[scored_positions(text.windows)]
        self._seen = text.counted[targets]
        self._repeated = repeated_sequences(text.counted, blueprint.context, seed)

    def loss(self, model: torch.nn.Module) -> float:
        """Mean held-out loss in nats; infinite or NaN where the network is."""
        return float(self._losses(model).mean(dtype=np.float64))

    def probe(self, model: torch.nn.Module) -> Probe:
        """Loss by how often a token was seen in training, and on repeated sequences."""
        repeated, buckets = self._repeated, bucket_losses(self._losses(model), self._seen)
        induction = (
            None if repeated is None else induction_losses(model, self._vocabulary, repeated)
        )
        return Probe(buckets=buckets, induction=induction)

    def _losses(self, model: torch.nn.Module) -> NDArray[np.float32]:
        text = self._text
        return token_losses(model, self._vocabulary, text.valid, text.windows, Silent())
