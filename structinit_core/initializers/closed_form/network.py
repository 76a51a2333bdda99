"""What compiled layers predict of a text, with nothing where the model is fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.codes import block_rows
from structinit_core.initializers.closed_form.layers import Layers
from structinit_core.initializers.closed_form.layout import Stream
from structinit_core.initializers.closed_form.parts import Units
from structinit_core.initializers.closed_form.recalibrate import GAIN_RANGE

_BATCH_ELEMENTS = 1 << 22
_NEWTON_STEPS = 3


@dataclass(frozen=True)
class Network(Layers):
    """Layers with a head: what they predict of a text, in nats."""

    stream: Stream

    def to(self, device: torch.device) -> Network:
        """The same on ``device``."""
        return replace(self, stream=self.stream.to(device))

    def with_stream(self, stream: Stream) -> Network:
        """The same with ``stream``, on the device of the one it has."""
        return replace(self, stream=stream.to(self.stream.embed.device))

    def with_units(self, part: Units) -> Network:
        """The same with ``part`` after the units it has."""
        return replace(self, stream=replace(self.stream, units=(*self.stream.units, part)))

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
