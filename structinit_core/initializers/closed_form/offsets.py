"""Offset codes: what older tokens add to the bigram's prediction codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows


@dataclass(frozen=True)
class OffsetModel:
    """P(b | x_t, x_{t-1}, …) = softmax_b(w_b·(x_{x_t} + Σ_h M_h·[x; f]_{x_{t-lag h}}) + b_b).

    codes: the bigram; identity: codes f, (V, c). One entry a head: ``lags`` ≥ 1 and ``write``
    (r, k). ``read`` (k, r+c): one for every ``groups`` heads in their order, which share it;
    M_h = write_h·read_{h // groups}. All float32.
    """

    codes: LogBilinear
    identity: Tensor
    lags: tuple[int, ...]
    read: tuple[Tensor, ...]
    write: tuple[Tensor, ...]
    groups: int = 1

    def to(self, device: torch.device) -> OffsetModel:
        """The same model on ``device``."""
        return OffsetModel(
            self.codes.to(device),
            self.identity.to(device),
            self.lags,
            tuple(part.to(device) for part in self.read),
            tuple(part.to(device) for part in self.write),
            self.groups,
        )

    @property
    def source(self) -> Tensor:
        """What a head reads of each token, [x; f]: (V, r+c)."""
        return torch.cat((self.codes.left, self.identity), dim=1)

    @property
    def head_reads(self) -> list[int]:
        """Which of ``read`` each head uses."""
        return [head // self.groups for head in range(len(self.lags))]

    def additions(self) -> Iterator[Tensor]:
        """What each head adds to the prediction code for each source token: (V, r)."""
        inner = [self.source @ read.T for read in self.read]
        for read, write in zip(self.head_reads, self.write, strict=True):
            yield inner[read] @ write.T

    def loss(self, contexts: Tensor, following: Tensor) -> float:
        """Mean negative log-likelihood in nats of what follows each context.

        contexts: int64 (n, lags + 1) or wider, newest token first, V where there is none, which
        adds nothing; following: int64 (n,). Cost n·V·r.
        """
        codes, total = self.codes, 0.0
        nothing = codes.left.new_zeros(1, codes.left.shape[1])
        padded = [torch.cat((each, nothing)) for each in self.additions()]
        rows = block_rows(len(codes.bias))
        for ids, after in zip(
            torch.split(contexts, rows), torch.split(following, rows), strict=True
        ):
            states = codes.left[ids[:, 0]]
            for lag, each in zip(self.lags, padded, strict=True):
                states += each[ids[:, lag]]
            logits = torch.addmm(codes.bias, states, codes.right.T)
            scores = logits.gather(1, after.unsqueeze(1)).squeeze(1)
            total += float((torch.logsumexp(logits, dim=1) - scores).double().sum())
        return total / max(len(following), 1)
