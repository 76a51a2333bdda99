"""What the written heads and norms predict, worked out from the codes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.attention import attention
from structinit_core.initializers.closed_form.codes import block_rows
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.recalibrate import GAIN_RANGE

_STATE_ELEMENTS = 1 << 24
_NEWTON_STEPS = 3


@dataclass(frozen=True)
class OffsetPredictor:
    """An :class:`OffsetModel` as a network computes it, with its attention and final norm.

    frequencies: float64 (m,) of the positions; unit: energy of the stream per squared length
    of a prediction code; rest: its energy before any head has added, both in units of the
    final norm's; context: positions of the model.
    """

    model: OffsetModel
    frequencies: NDArray[np.float64]
    unit: float
    rest: float
    context: int

    def to(self, device: torch.device) -> OffsetPredictor:
        """The same on ``device``."""
        return replace(self, model=self.model.to(device))

    def states(
        self, stream: TokenStream, windows: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """In blocks, the prediction codes after the final norm, (n, r), and next tokens (n,).

        A head adds to x_t the mean of its source codes under its attention; the final norm
        shrinks the sum by √(rest/energy), where the energy is that of the whole stream.
        """
        left = self.model.codes.left
        device, longest = left.device, int((windows[:, 1] - windows[:, 0]).max())
        added = list(self.model.additions())
        masses = {
            lag: torch.from_numpy(attention(lag, self.frequencies, longest, self.context)).to(left)
            for lag in set(self.model.lags)
        }
        batch = max(1, _STATE_ELEMENTS // (longest * left.shape[1]))
        for low in range(0, len(windows), batch):
            ids, known = _padded(stream, windows[low : low + batch], longest)
            ids, known = ids.to(device), known.to(device)
            own = left[ids]
            heads = torch.zeros_like(own)
            for lag, codes in zip(self.model.lags, added, strict=True):
                heads += masses[lag] @ codes[ids]
            energy = self.rest + self.unit * ((2 * own + heads) * heads).sum(dim=2)
            own += heads
            own *= (self.rest / energy).sqrt().unsqueeze(2)
            scored = known[:, 1:]
            yield own[:, :-1][scored], ids[:, 1:][scored]

    def loss(self, stream: TokenStream, windows: NDArray[np.int64]) -> float:
        """Mean negative log-likelihood of the scored tokens in nats; V·r each."""
        codes, total, count = self.model.codes, 0.0, 0
        for states, following in self._blocks(stream, windows):
            log_p = torch.log_softmax(torch.addmm(codes.bias, states, codes.right.T), dim=1)
            total -= float(log_p.gather(1, following[:, None]).double().sum())
            count += len(following)
        return total / max(count, 1)

    def gain(self, stream: TokenStream, windows: NDArray[np.int64]) -> float:
        """The factor on the output codes that minimises the loss: Newton on one scalar."""
        codes, gain = self.model.codes, 1.0
        for _ in range(_NEWTON_STEPS):
            slope = curvature = 0.0
            for states, following in self._blocks(stream, windows):
                scores = states @ codes.right.T
                p = torch.softmax(gain * scores + codes.bias, dim=1)
                mean = (p * scores).sum(dim=1)
                slope += float((mean - scores.gather(1, following[:, None])[:, 0]).sum())
                curvature += float(((p * scores.square()).sum(dim=1) - mean.square()).sum())
            if curvature <= 0:
                break
            low, high = GAIN_RANGE
            gain = min(max(gain - slope / curvature, low), high)
        return gain

    def _blocks(
        self, stream: TokenStream, windows: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """:meth:`states` in pieces whose logits fit a block."""
        rows = block_rows(len(self.model.codes.bias))
        for states, following in self.states(stream, windows):
            yield from zip(torch.split(states, rows), torch.split(following, rows), strict=True)


def _padded(stream: TokenStream, windows: NDArray[np.int64], longest: int) -> tuple[Tensor, Tensor]:
    """Token ids (n, longest), padded on the right with 0, and which of them are tokens."""
    at = windows[:, :1] + np.arange(longest)
    known = at < windows[:, 1:]
    ids = stream.ids[np.where(known, at, windows[:, :1])].astype(np.int64)
    return torch.from_numpy(ids), torch.from_numpy(known)
