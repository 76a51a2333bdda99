"""MiniGPT as seed 004 describes it: tied embeddings, rotary positions, dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as f

_DEVIATION = 0.02
_ROTARY_BASE = 10_000.0


class MiniGpt(nn.Module):
    """Token ids (rows, T) to logits (rows, T, V) of a pre-norm decoder whose head is its embedding.

    GELU feed-forward of 4·d. Matrices N(0, 0.02²), biases 0, gains 1; the embedding has the
    given ``deviation``, which the source does not state. Draws from torch's global generator.
    """

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, dropout: float, deviation: float
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = dropout
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_DEVIATION)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embed.weight, std=deviation)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the token after each of ``ids``."""
        stream = f.dropout(self.embed(ids), self.dropout, self.training)
        for block in self.blocks:
            stream = block(stream)
        return f.linear(self.norm(stream), self.embed.weight)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, stream: Tensor) -> Tensor:
        parts = self.qkv(self.before_attention(stream)).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = f.scaled_dot_product_attention(
            _rotated(query),
            _rotated(key),
            value,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=True,
        )
        stream = stream + self._dropped(self.out(mixed.transpose(1, 2).flatten(2)))
        return stream + self._dropped(self.down(f.gelu(self.up(self.before_mlp(stream)))))

    def _dropped(self, branch: Tensor) -> Tensor:
        return f.dropout(branch, self.dropout, self.training)


def _rotated(heads: Tensor) -> Tensor:
    """Queries or keys (…, T, w) turned by their position, the halves of w as pairs."""
    half = heads.shape[-1] // 2
    places = torch.arange(heads.shape[-2], device=heads.device)
    speeds = _ROTARY_BASE ** (-torch.arange(half, device=heads.device) / half)
    angles = places[:, None] * speeds
    first, second = heads.chunk(2, dim=-1)
    sine, cosine = angles.sin(), angles.cos()
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
