"""The three networks of the protocol: from scratch, spectral, and a head on frozen features."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from structinit_core.initializers.paired_views import (
    Block,
    Encoder,
    attended,
    fed_forward,
)
from structinit_core.linalg import generator

BLEND = 0.5
"""α where a spectral network starts at random."""
_PARTS = ("whitening", "projections", "output", "blend", "shrinkage")


class DepthNetwork(nn.Module):
    """Windows of ids (b, T) to logits of the next token, added up depth by depth.

    Token vectors and position code are those of ``encoder`` and stay as they are.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.register_buffer("embedding", encoder.embedding, persistent=False)
        self.register_buffer("positions", encoder.positions, persistent=False)
        self.heads = nn.ModuleList()

    def embedded(self, ids: Tensor) -> Tensor:
        """The states before the first block."""
        return nn.functional.embedding(ids, self.get_buffer("embedding")) + self.get_buffer(
            "positions"
        )

    def losses(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean over depths of the cross-entropy: what is trained."""
        found = [nn.functional.cross_entropy(logits, targets) for logits in self(ids)]
        return torch.stack(found).mean()

    def added_up(self, pooled: Sequence[Tensor]) -> list[Tensor]:
        """The logits of every depth: each head's, and those of the depths before."""
        logits: list[Tensor] = []
        for head, states in zip(self.heads, pooled, strict=True):
            own = head(states)
            logits.append(logits[-1] + own if logits else own)
        return logits


class ScratchNetwork(DepthNetwork):
    """The baseline: pre-norm GELU blocks with biases, a head on the output of each.

    PyTorch's own random start, drawn from ``seed``; all blocks start as copies of one, as in
    the source.
    """

    def __init__(self, encoder: Encoder, heads: int, feed_forward: int, seed: int) -> None:
        super().__init__(encoder)
        config, device = encoder.config, encoder.embedding.device
        draw = int(generator(seed, "paired views", "scratch").integers(2**63))
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed CUDA's generators too, which are not brought back.
            torch.default_generator.manual_seed(draw)
            first = nn.TransformerEncoderLayer(
                config.hidden_size,
                heads,
                feed_forward,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            readers = [
                nn.Linear(config.hidden_size, config.tokens)
                for _ in range(config.num_hidden_layers)
            ]
        self.blocks = nn.ModuleList(copy.deepcopy(first) for _ in readers)
        self.heads.extend(readers)
        self.to(device)

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Logits (b, V) of every depth."""
        states, pooled = self.embedded(ids), []
        for block in self.blocks:
            states = block(states)
            pooled.append(states[:, -1])
        return self.added_up(pooled)


class SpectralNetwork(DepthNetwork):
    """A trainable copy of an encoder, its heads without bias and drawn at random.

    As in the source the head of a depth reads the **input** of its block: the last block is
    connected to nothing, gets no gradient, and is not run here.
    """

    def __init__(self, encoder: Encoder, seed: int) -> None:
        super().__init__(encoder)
        config, device = encoder.config, encoder.embedding.device
        self._epsilon = config.layer_norm_epsilon
        self.blocks = nn.ModuleList(
            nn.ParameterDict({name: nn.Parameter(getattr(block, name).clone()) for name in _PARTS})
            for block in encoder.blocks
        )
        for depth in range(config.num_hidden_layers):
            head = nn.Linear(config.hidden_size, config.tokens, bias=False, device=device)
            head.weight.data.copy_(
                uniform(
                    (config.tokens, config.hidden_size), config.hidden_size, seed, "head", depth
                )
            )
            self.heads.append(head)

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Logits (b, V) of every depth."""
        states = self.embedded(ids)
        pooled = [states[:, -1]]
        for block in list(self.blocks)[:-1]:
            part = {name: block.get_parameter(name) for name in _PARTS}
            shrinkage = part.pop("shrinkage")
            states = attended(states, **part, epsilon=self._epsilon)
            states = fed_forward(states, shrinkage, self._epsilon)
            pooled.append(states[:, -1])
        return self.added_up(pooled)


def random_blocks(encoder: Encoder, seed: int) -> Encoder:
    """``encoder`` with blocks drawn from U(±1/√fan-in), PyTorch's default, and α = ½."""
    config = encoder.config
    d, heads, r = config.hidden_size, config.num_attention_heads, config.landmarks
    for layer in range(config.num_hidden_layers):
        encoder = encoder.with_block(
            Block(
                uniform((d, d), d, seed, "whitening", layer),
                uniform((heads, d, r), d, seed, "projections", layer),
                uniform((heads * d, d), heads * d, seed, "output", layer),
                torch.tensor(BLEND),
                uniform((d, d), d, seed, "shrinkage", layer),
            )
        )
    return encoder


def linear_head(encoder: Encoder, seed: int) -> nn.Linear:
    """The cross-entropy head: one linear map with bias of the features of all depths."""
    config = encoder.config
    inputs = (config.num_hidden_layers + 1) * config.hidden_size
    head = nn.Linear(inputs, config.tokens, device=encoder.embedding.device)
    head.weight.data.copy_(uniform((config.tokens, inputs), inputs, seed, "linear head", 0))
    head.bias.data.copy_(uniform((config.tokens,), inputs, seed, "linear head bias", 0))
    return head


def uniform(shape: tuple[int, ...], fan_in: int, seed: int, name: str, layer: int) -> Tensor:
    """U(±1/√fan-in), float32; deterministic for seed, name and layer."""
    draw = generator(seed, "paired views start", name, f"layer {layer}")
    values: Tensor = torch.from_numpy(draw.random(shape, dtype=np.float32))
    return (2 * values - 1) / math.sqrt(fan_in)
