"""What is measured beside the loss: by frequency, on repeated sequences, gradients by layer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, Role
from structinit_core.corpus import TokenStream, scored_positions
from structinit_core.linalg import generator
from structinit_core.model import token_losses
from structinit_core.progress import Silent
from structinit_core.race.record import Bucket, Induction, Probe
from structinit_core.race.text import RaceText

_BORDERS = (0, 1, 10, 100, 1000, 10000, 100000)
_SEQUENCES = 32
_LONGEST = 256


class Meter:
    """Losses of networks of one race on its held-out windows, always the same ones."""

    def __init__(self, blueprint: Blueprint, text: RaceText, seed: int) -> None:
        self._vocabulary, self._text = blueprint.vocabulary, text
        targets = text.valid.ids[scored_positions(text.windows)]
        self._seen = text.counted[targets]
        self._repeated = _repeated(text.counted, min(blueprint.context, _LONGEST) // 2, seed)

    def loss(self, model: torch.nn.Module) -> float:
        """Mean held-out loss in nats; infinite or NaN where the network is."""
        return float(self._losses(model).mean(dtype=np.float64))

    def probe(self, model: torch.nn.Module) -> Probe:
        """Loss by how often a token was seen in training, and on repeated sequences."""
        losses = self._losses(model)
        place = np.searchsorted(_BORDERS, self._seen, side="right") - 1
        buckets = []
        for i, low in enumerate(_BORDERS):
            inside = losses[place == i]
            high = _BORDERS[i + 1] if i + 1 < len(_BORDERS) else None
            if len(inside):
                mean = float(inside.mean(dtype=np.float64))
                buckets.append(Bucket(low=low, high=high, tokens=len(inside), loss=mean))
        return Probe(buckets=tuple(buckets), induction=self._induction(model))

    def _losses(self, model: torch.nn.Module) -> NDArray[np.float32]:
        text = self._text
        return token_losses(model, self._vocabulary, text.valid, text.windows, Silent())

    def _induction(self, model: torch.nn.Module) -> Induction | None:
        if self._repeated is None:
            return None
        ids = TokenStream(self._repeated.ravel(), np.zeros(0, np.int64))
        rows, length = self._repeated.shape
        starts = np.arange(rows) * length
        windows = np.stack((starts, starts + length), axis=1)
        losses = token_losses(model, self._vocabulary, ids, windows, Silent())
        by_place = losses.reshape(rows, length - 1).mean(axis=0, dtype=np.float64)
        half = length // 2
        # The first token of the repetition cannot be foreseen: nothing says that it begins.
        return Induction(
            first=float(by_place[: half - 1].mean()), second=float(by_place[half:].mean())
        )


def gradient_norms(model: torch.nn.Module, blueprint: Blueprint) -> dict[str, float]:
    """Euclidean norm of the present gradient by layer: ``embed``, ``layer 0`` …, ``head``."""
    layers = {spec.name: _layer(spec.layer, spec.roles[0]) for spec in blueprint.tensors}
    squares = dict.fromkeys(dict.fromkeys(layers.values()), 0.0)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            # GPT-NeoX's head has another name in memory than in the file.
            squares[layers.get(name, "head")] += float(parameter.grad.double().square().sum())
    return {layer: square**0.5 for layer, square in squares.items()}


def _layer(layer: int | None, role: Role) -> str:
    if layer is not None:
        return f"layer {layer}"
    return "embed" if role in (Role.EMBED, Role.POSITION) else "head"


def _repeated(counted: NDArray[np.int64], half: int, seed: int) -> NDArray[np.int64] | None:
    """Random sequences of tokens seen in training, each written twice: int64 (n, 2·half)."""
    if half < 2:
        return None
    draw = generator(seed, "repeated sequences")
    once = draw.choice(np.flatnonzero(counted), (_SEQUENCES, half))
    return np.concatenate((once, once), axis=1)
