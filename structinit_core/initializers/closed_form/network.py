"""What the compiled parts predict: the model's own arithmetic, with nothing where it is fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from structinit_core.blueprint import Blueprint, Kind, Norm, Role
from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.codes import block_rows
from structinit_core.initializers.closed_form.layout import Stream
from structinit_core.initializers.closed_form.parts import ACTIVATIONS, Head, Units, holds
from structinit_core.initializers.closed_form.recalibrate import GAIN_RANGE

if TYPE_CHECKING:
    # Importing the room would import transformers, which takes seconds.
    from structinit_core.model import Wiring

_BATCH_ELEMENTS = 1 << 22
_NEWTON_STEPS = 3


@dataclass(frozen=True)
class Network:
    """The compiled parts of a model, run as the model will run them.

    Attention, feed-forward, rotary positions and norms are those of ``blueprint`` and
    ``wiring``; norm gains are 1, other heads and units add nothing. float32 on the device of
    ``stream``. Source: ours.
    """

    stream: Stream
    blueprint: Blueprint
    wiring: Wiring

    def to(self, device: torch.device) -> Network:
        """The same on ``device``."""
        return replace(self, stream=self.stream.to(device))

    def with_units(self, part: Units) -> Network:
        """The same with ``part`` after the units it has."""
        return replace(self, stream=replace(self.stream, units=(*self.stream.units, part)))

    def residual(self, ids: Tensor, before: int | None = None) -> Tensor:
        """The residual stream of token ids (n, T): float32 (n, T, d).

        After all layers, or what the feed-forward of layer ``before`` takes in, not yet
        normalised.
        """
        stream, batch = self.stream, ids.shape[1]
        hidden = stream.embed[ids]
        if stream.position is not None:
            hidden = hidden + stream.position[:batch]
        for layer in range(self.blueprint.layers):
            heads = [head for head in stream.heads if head.layer == layer]
            units = [part for part in stream.units if part.layer == layer]
            taken = hidden
            if heads:
                hidden = hidden + self.attended(heads, self.normalised(hidden))
            if not self.wiring.parallel:
                taken = hidden
            if layer == before:
                return taken
            if units:
                normed = self.normalised(taken)
                for part in units:
                    hidden = hidden + self.fed_forward(part, normed)
        return hidden

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

    def mean_factor(self, stream: TokenStream, windows: NDArray[np.int64], layer: int) -> float:
        """What the feed-forward norm of ``layer`` multiplies the stream by, mean over tokens."""
        total, count = 0.0, 0
        for ids, known in self.batches(stream, windows):
            hidden = self.residual(ids, before=layer)[known]
            factors = self.normalised(hidden).norm(dim=1) / hidden.norm(dim=1)
            total, count = total + float(factors.double().sum()), count + len(factors)
        return total / max(count, 1)

    def outputs(
        self, stream: TokenStream, windows: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """In blocks, what the head reads, (n, d), at the scored tokens, and those tokens (n,)."""
        final_bias, rows = self.stream.final_bias, block_rows(len(self.stream.unembed))
        for ids, known in self.batches(stream, windows):
            normed = self.normalised(self.residual(ids))
            if final_bias is not None:
                normed = normed + final_bias
            states, following = normed[:, :-1][known[:, 1:]], ids[:, 1:][known[:, 1:]]
            yield from zip(torch.split(states, rows), torch.split(following, rows), strict=True)

    def batches(
        self, stream: TokenStream, windows: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Token ids (n, T) of the windows, padded on the right, and which of them are tokens."""
        if len(windows) == 0:
            return
        longest = int((windows[:, 1] - windows[:, 0]).max())
        wide = max(longest, self.blueprint.width)
        size = max(1, _BATCH_ELEMENTS // (longest * wide))
        for low in range(0, len(windows), size):
            part = windows[low : low + size]
            at = part[:, :1] + np.arange(longest)
            known = at < part[:, 1:]
            ids = stream.ids[np.where(known, at, part[:, :1])].astype(np.int64)
            device = self.stream.embed.device
            yield torch.from_numpy(ids).to(device), torch.from_numpy(known).to(device)

    def loss(self, stream: TokenStream, windows: NDArray[np.int64]) -> float:
        """Mean negative log-likelihood of the scored tokens in nats; V·d each."""
        head, total, count = self.stream.unembed, 0.0, 0
        for states, following in self.outputs(stream, windows):
            log_p = torch.log_softmax(states @ head.T, dim=1)
            total -= float(log_p.gather(1, following[:, None]).double().sum())
            count += len(following)
        return total / max(count, 1)

    def gain(
        self, stream: TokenStream, windows: NDArray[np.int64], along: Tensor | None = None
    ) -> float:
        """The factor on all but the bias of the logits that minimises the loss.

        Or on what is read in the coordinates ``along`` (d, n) only. Newton on one scalar.
        """
        head, gain = self.stream.unembed, 1.0
        part = self.stream.carrier[:, None] if along is None else along
        rows = head @ part
        for _ in range(_NEWTON_STEPS):
            slope = curvature = 0.0
            for states, following in self.outputs(stream, windows):
                scores = states @ part @ rows.T
                fixed = states @ head.T - scores
                if along is None:
                    scores, fixed = fixed, scores
                p = torch.softmax(gain * scores + fixed, dim=1)
                mean = (p * scores).sum(dim=1)
                slope += float((mean - scores.gather(1, following[:, None])[:, 0]).sum())
                curvature += float(((p * scores.square()).sum(dim=1) - mean.square()).sum())
            if curvature <= 0:
                break
            low, high = GAIN_RANGE if along is None else (0.0, GAIN_RANGE[1])
            gain = min(max(gain - slope / curvature, low), high)
        return gain

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
