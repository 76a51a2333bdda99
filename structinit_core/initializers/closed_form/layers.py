"""Layers as the model will run them: attention, feed-forward, norms and positions alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from structinit_core.blueprint import Blueprint, Kind, Norm, Role
from structinit_core.initializers.closed_form.parts import ACTIVATIONS, Head, Units, holds

if TYPE_CHECKING:
    # Importing the room would import transformers, which takes seconds.
    from structinit_core.model import Wiring


class Parts(Protocol):
    """What is compiled: token rows (V, d), positions (context, d) or ``None``, heads, units."""

    @property
    def embed(self) -> Tensor:
        """float32 (V, d)."""

    @property
    def position(self) -> Tensor | None:
        """float32 (context, d), ``None`` where positions are rotary."""

    @property
    def heads(self) -> Sequence[Head]:
        """Attention heads of any layer."""

    @property
    def units(self) -> Sequence[Units]:
        """Feed-forward units of any layer."""


@dataclass(frozen=True)
class Layers:
    """The compiled parts of a model, run as the model will run them.

    Attention, feed-forward, rotary positions and norms are those of ``blueprint`` and
    ``wiring``; norm gains are 1, other heads and units add nothing. float32 on the device of
    ``stream``. Source: ours.
    """

    stream: Parts
    blueprint: Blueprint
    wiring: Wiring

    def residual(self, ids: Tensor, before: int | None = None) -> Tensor:
        """The residual stream of token ids (n, T): float32 (n, T, d).

        After all layers, or what the feed-forward of layer ``before`` takes in, not yet
        normalised.
        """
        last = self.blueprint.layers - 1 if before is None else before
        taken, after = next(islice(self.passed(ids), last, None))
        return after if before is None else taken

    def passed(self, ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each layer what its feed-forward takes in and the stream after it, (n, T, d) both."""
        stream, batch = self.stream, ids.shape[1]
        hidden = stream.embed[ids]
        if stream.position is not None:
            hidden = hidden + stream.position[:batch]
        for layer in range(self.blueprint.layers):
            heads = [head for head in stream.heads if head.layer == layer]
            units = [part for part in stream.units if part.layer == layer]
            before = hidden
            if heads:
                hidden = hidden + self.attended(heads, self.normalised(hidden))
            taken = before if self.wiring.parallel else hidden
            if units:
                normed = self.normalised(taken)
                for part in units:
                    hidden = hidden + self.fed_forward(part, normed)
            yield taken, hidden

    def normalised(self, hidden: Tensor) -> Tensor:
        """``hidden`` after a norm with gain 1 and no bias."""
        norm = functional.rms_norm if self.blueprint.norm is Norm.RMS else functional.layer_norm
        normed: Tensor = norm(hidden, hidden.shape[-1:], eps=self.blueprint.norm_epsilon)
        return normed

    def attended(self, heads: list[Head], normed: Tensor) -> Tensor:
        """What the heads of one layer add: (n, T, d)."""
        added = torch.zeros_like(normed)
        for head in heads:
            attention = torch.softmax(self.scores(head, normed), dim=2)
            added += attention @ (normed @ head.value.T) @ head.output.T
        return added

    def scores(self, head: Head, normed: Tensor) -> Tensor:
        """What the softmax of a head takes in: (n, T, T), −∞ where a query may not look."""
        query = functional.linear(normed, head.query, head.query_bias)
        key = functional.linear(normed, head.key, head.key_bias)
        query = self._turned(self._scaled(query, head.query_gain))
        key = self._turned(self._scaled(key, head.key_gain))
        scores = self.wiring.scales[head.layer] * (query @ key.transpose(1, 2))
        return scores + self._unseen(scores, self.wiring.windows[head.layer])

    def fed_forward(self, part: Units, normed: Tensor) -> Tensor:
        """What some units of one layer add: (n, T, d)."""
        return self.activated(part, normed) @ part.down.T

    def activated(self, part: Units, normed: Tensor) -> Tensor:
        """The activations of some units: (..., units)."""
        act = ACTIVATIONS[self.blueprint.activation]
        hidden = normed @ part.up.T
        if part.bias is not None:
            hidden = hidden + part.bias
        return act(hidden) if part.gate is None else hidden * act(normed @ part.gate.T)

    def _scaled(self, rows: Tensor, gain: Tensor | None) -> Tensor:
        """Queries or keys under the norm of their own that some families have."""
        if not holds(self.blueprint, Role.Q_NORM, Kind.WEIGHT):
            return rows
        scaled: Tensor = functional.rms_norm(
            rows, rows.shape[-1:], gain, eps=self.blueprint.norm_epsilon
        )
        return scaled

    def _turned(self, rows: Tensor) -> Tensor:
        """Queries or keys (n, T, h) under rotary positions, in the order of halves."""
        pairs = len(self.wiring.frequencies)
        if pairs == 0:
            return rows
        places = torch.arange(rows.shape[1], device=rows.device)
        angles = torch.outer(places.to(rows), self.wiring.frequencies.to(rows))
        c, s = (self.wiring.rotary_scale * f(angles) for f in (torch.cos, torch.sin))
        one, other, rest = torch.split(rows, [pairs, pairs, rows.shape[2] - 2 * pairs], dim=2)
        return torch.cat((one * c - other * s, other * c + one * s, rest), dim=2)

    def _unseen(self, scores: Tensor, window: int | None) -> Tensor:
        """−∞ where a query may not look: (T, T)."""
        size = scores.shape[1]
        seen = torch.ones(size, size, dtype=torch.bool, device=scores.device).tril()
        if window is not None:
            seen &= ~torch.ones_like(seen).tril(-window)
        return torch.zeros_like(seen, dtype=scores.dtype).masked_fill(~seen, -torch.inf)
