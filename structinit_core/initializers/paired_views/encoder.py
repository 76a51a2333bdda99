"""The encoder of seed 002: frozen random tokens, a fixed position code, fitted blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.paired_views.attention import attended, fed_forward
from structinit_core.initializers.paired_views.config import PairedViewsConfig
from structinit_core.linalg import Device, generator


@dataclass(frozen=True)
class Block:
    """The tensors of a fitted block, float32.

    whitening: Σ^-½ (d, d). projections: (H, d, r). output: O (H·d, d). blend: α, a scalar.
    shrinkage: A (d, d) of the feed-forward. All multiply rows from the right.
    """

    whitening: Tensor
    projections: Tensor
    output: Tensor
    blend: Tensor
    shrinkage: Tensor

    def __call__(self, states: Tensor, epsilon: float) -> Tensor:
        """The block's output for ``states`` (b, T, d)."""
        parts = (self.whitening, self.projections, self.output, self.blend)
        return fed_forward(attended(states, *parts, epsilon), self.shrinkage, epsilon)


@dataclass(frozen=True)
class Encoder:
    """A paired-views encoder as far as it is fitted.

    embedding: (V + 1, d) of unit rows, the last one, of the pad, zero. positions: (T, d). Both
    float32 and never trained. ``config.num_hidden_layers`` blocks when it is whole.
    """

    config: PairedViewsConfig
    embedding: Tensor
    positions: Tensor
    blocks: tuple[Block, ...] = ()

    def embedded(self, ids: Tensor) -> Tensor:
        """The first states of windows ``ids`` (b, T) of int64: float32 (b, T, d)."""
        return self.embedding[ids] + self.positions

    def states(self, ids: Tensor) -> Tensor:
        """The states after the last block that is fitted: float32 (b, T, d)."""
        states = self.embedded(ids)
        for block in self.blocks:
            states = block(states, self.config.layer_norm_epsilon)
        return states

    def features(self, ids: Tensor) -> list[Tensor]:
        """The last position's state before the first block and after each: L + 1 of (b, d)."""
        states = self.embedded(ids)
        found = [states[:, -1]]
        for block in self.blocks:
            states = block(states, self.config.layer_norm_epsilon)
            found.append(states[:, -1])
        return found

    def with_block(self, block: Block) -> Encoder:
        """The encoder with one more block."""
        return replace(self, blocks=(*self.blocks, block))


def empty_encoder(config: PairedViewsConfig, seed: int, device: Device) -> Encoder:
    """The encoder before its first block, on ``device``; deterministic for ``seed``.

    A token's vector is drawn from a normal distribution and divided by its length.
    """
    draw = generator(seed, "paired views", "tokens")
    rows = draw.standard_normal((config.tokens, config.hidden_size), dtype=np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-8)
    table = np.concatenate((rows, np.zeros_like(rows[:1])))
    return Encoder(
        config,
        torch.from_numpy(table).to(device),
        position_code(config.max_position_embeddings, config.hidden_size).to(device),
    )


def position_code(context: int, width: int) -> Tensor:
    """Sines and cosines of t·10000^(−2j/d), d/2 of each: float32 (T, d) of squared length d/2.

    Source: Vaswani et al. 2017, section 3.5, sines before cosines as in seed 002.
    """
    rates = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), rates)
    return torch.cat((angles.sin(), angles.cos()), dim=1).float()
