"""The model's side of the offsets' fit from sampled columns, where V logits a context cost most."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.columns import gather, sampled_block
from structinit_core.initializers.closed_form.refit import Gradients
from structinit_core.initializers.closed_form.sampling import chances, draw

FOLLOWERS = 64
"""Followers of a context's newest token that are taken exactly, the most counted ones."""


class SampledMoments:
    """The gradients of ``expected_moments`` estimated from ``size`` columns a call.

    Of each context the most counted followers of its newest token are taken exactly, and so
    are the columns of largest ``marginal``; the others drawn stand for the rest by exp(z)/π, as
    in :class:`~structinit_core.initializers.closed_form.columns.SampledGradient`. direct: CSR
    (V, V), larger where a follower is likelier. Cost of a call: 3·n·(size + 64)·r
    multiply-adds; memory three blocks of logits and 512·V bytes.
    """

    def __init__(
        self,
        direct: Tensor,
        marginal: NDArray[np.float64],
        size: int,
        generator: np.random.Generator,
    ) -> None:
        self.chance = chances(marginal, size)
        self.certain_mass = float(marginal[self.chance == 1].sum() / marginal.sum())
        self.generator = generator
        self.counts, self.column = _most_counted(direct)
        self.variance = torch.zeros(())

    @property
    def error(self) -> float:
        """Standard error of a state's log Z in the last call, root mean square by mass."""
        return math.sqrt(float(self.variance))

    def __call__(self, codes: LogBilinear, states: Tensor, newest: Tensor) -> Gradients:
        """Gradients of the mean log-normaliser: of states (n, r), right (V, r) and bias (V,)."""
        mass = states.new_full((len(states),), 1 / len(states))
        return self.weighted(codes, states, newest, mass)[0]

    def weighted(
        self, codes: LogBilinear, states: Tensor, newest: Tensor, mass: Tensor
    ) -> tuple[Gradients, Tensor]:
        """The gradients of Σ mass·log Z, mass > 0 (n,), and each state's log Z, (n,)."""
        columns = gather(codes, draw(self.chance, self.generator))
        grad_states = torch.zeros_like(states)
        grad_right, grad_bias = torch.zeros_like(codes.right), torch.zeros_like(codes.bias)
        grad_drawn, grad_shift = torch.zeros_like(columns.right), torch.zeros_like(columns.shift)
        self.variance, log_z = states.new_zeros(()), []
        rows = block_rows(max(len(columns.shift), FOLLOWERS * states.shape[1]))
        for block, last, share, into in zip(
            *(torch.split(each, rows) for each in (states, newest, mass, grad_states)), strict=True
        ):
            counts = self.counts.index_select(0, last)
            column = self.column.index_select(0, last).view(-1)
            known = torch.arange(FOLLOWERS, device=last.device) < counts.unsqueeze(1)
            slot = columns.slot.index_select(0, column).where(known.view(-1), len(columns.index))
            exact = codes.right.index_select(0, column).view(-1, FOLLOWERS, states.shape[1])
            shift = codes.bias.index_select(0, column).view(-1, FOLLOWERS, 1)
            logits = shift + exact @ block.unsqueeze(2)
            pairs = logits.where(known.unsqueeze(2), -torch.inf)
            found, variance = sampled_block(
                block,
                share,
                columns,
                torch.full_like(counts, FOLLOWERS),
                slot,
                pairs.view(-1),
                into,
                grad_drawn,
                grad_shift,
            )
            log_z.append(found)
            self.variance += variance
            into += (pairs.mT @ exact).squeeze(1)
            torch.mul(pairs, block.unsqueeze(1), out=exact)
            grad_right.index_add_(0, column, exact.flatten(0, 1))
            grad_bias.index_add_(0, column, pairs.view(-1))
        size = len(columns.index)
        grad_right.index_add_(0, columns.index, grad_drawn.narrow(0, 0, size))
        grad_bias.index_add_(0, columns.index, grad_shift.narrow(0, 0, size))
        self.variance /= mass.sum()
        return (grad_states, grad_right, grad_bias), torch.cat(log_z)


def _most_counted(direct: Tensor) -> tuple[Tensor, Tensor]:
    """How many columns of each row are listed, (V,), and its most probable ones, (V, 64): int64."""
    first, column = direct.crow_indices(), direct.col_indices()
    row = torch.repeat_interleave(first.diff())
    order = torch.argsort(direct.values(), descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    rank = torch.arange(len(order), device=row.device) - first[row]
    kept = rank < FOLLOWERS
    listed = column.new_zeros(len(first) - 1, FOLLOWERS)
    listed[row[kept], rank[kept]] = column[order][kept]
    return first.diff().clamp(max=FOLLOWERS), listed
