"""What is wrong with a fitted encoder, measured: where its attention comes from and goes to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views.attention import attention_weights
from structinit_core.initializers.paired_views.encoder import Block, Encoder
from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.initializers.paired_views.readout import Readout
from structinit_core.initializers.paired_views.windows import TextWindows

_MOST_WINDOWS = 512
_TINY = 1e-300


@dataclass(frozen=True)
class BlockFlaws:
    """One block on unmasked windows.

    positional: of each direction of the heads, in their order, the share of its variance that
    the position alone explains. entropy: mean of the attention rows in nats; ln T is uniform.
    largest: weight anywhere. rank: effective rank (exponential of the spectrum's entropy) of
    the centred contexts, of H·d. uniform_gap: mean squared distance of a context from the
    window's mean state, as a share of the states' own; 0 is plain averaging.
    """

    positional: tuple[float, ...]
    entropy: float
    largest: float
    rank: float
    uniform_gap: float


@torch.no_grad()
def block_flaws(encoder: Encoder, windows: TextWindows) -> tuple[BlockFlaws, ...]:
    """The flaws of every block on at most 512 windows, evenly spaced.

    Deterministic; on the encoder's device. Source: ours, after the diagnosis of seed 002.
    """
    few = windows.few(_MOST_WINDOWS)
    gathered = [_Sums() for _ in encoder.blocks]
    for ids, _ in few.blocks():
        states = encoder.embedded(ids.to(encoder.embedding.device))
        for sums, block in zip(gathered, encoder.blocks, strict=True):
            sums.add(states, block)
            states = block(states, encoder.config.layer_norm_epsilon)
    return tuple(sums.flaws() for sums in gathered)


class _Sums:
    def __init__(self) -> None:
        self._windows = self._rows = 0
        self._largest = 0.0
        self._entropy = self._gap = self._own = torch.zeros(())
        self._by_position = self._squares = torch.zeros(())
        self._contexts = ViewMoments()

    def add(self, states: Tensor, block: Block) -> None:
        weights = attention_weights(states, block.whitening, block.projections)
        mixed = weights @ states.unsqueeze(1)
        middle = states.mean(1, keepdim=True)
        logs = weights.clamp(min=1e-30).log()
        self._windows += len(states)
        self._rows += weights.shape[:-1].numel()
        self._largest = max(self._largest, float(weights.max()))
        self._entropy = self._entropy - (weights * logs).double().sum()
        self._gap = self._gap + (mixed - middle.unsqueeze(1)).double().square().sum() / len(
            block.projections
        )
        self._own = self._own + (states - middle).double().square().sum()
        directions = block.whitening @ torch.cat(list(block.projections), dim=1)
        along = (states @ directions).double()
        self._by_position = self._by_position + along.sum(0)
        self._squares = self._squares + along.square().sum((0, 1))
        flat = mixed.transpose(1, 2).flatten(-2).flatten(0, 1)
        self._contexts.add(flat, flat)

    def flaws(self) -> BlockFlaws:
        if self._windows == 0:
            raise NumericalError("without windows nothing can be measured")
        by_position = self._by_position / self._windows
        mean = by_position.mean(0)
        total = self._squares / (self._windows * len(by_position)) - mean.square()
        between = (by_position - mean).square().mean(0)
        spectrum = torch.linalg.eigvalsh(self._contexts.covariances()[0]).clamp(min=0.0)
        shares = spectrum / spectrum.sum().clamp(min=_TINY)
        entropy = -(shares * shares.clamp(min=_TINY).log()).sum()
        return BlockFlaws(
            positional=tuple((between / total.clamp(min=_TINY)).clamp(0.0, 1.0).tolist()),
            entropy=float(self._entropy) / self._rows,
            largest=self._largest,
            rank=math.exp(float(entropy)),
            uniform_gap=float(self._gap / self._own.clamp(min=_TINY)),
        )


@torch.no_grad()
def readout_loss(encoder: Encoder, readout: Readout, windows: TextWindows) -> float:
    """Mean next-token loss in nats of the last positions of ``windows``."""
    total, device = 0.0, encoder.embedding.device
    for ids, labels in windows.blocks():
        total += readout.loss(encoder.features(ids.to(device)), labels.to(device))
    return total / len(windows.starts)
