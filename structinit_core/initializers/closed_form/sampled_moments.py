"""The model's side of the offsets' fit from sampled columns, where V logits a context cost most."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.columns import gather, sampled_block
from structinit_core.initializers.closed_form.refit import Gradients
from structinit_core.initializers.closed_form.sampling import chances, draw

_FOLLOWERS = 64
"""Followers of a context's newest token that are taken exactly, the most counted ones."""


class SampledMoments:
    """The gradients of ``expected_moments`` estimated from ``size`` columns a call.

    Of each context the most counted followers of its newest token are taken exactly, and so
    are the columns of largest ``marginal``; the others drawn stand for the rest by exp(z)/π, as
    in :class:`~structinit_core.initializers.closed_form.columns.SampledGradient`. direct: CSR
    (V, V), larger where a follower is likelier. Cost of a call: 3·n·(size + 64)·r
    multiply-adds; memory a block of logits and 1,024·n·r bytes.
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
        self.first, self.column = _most_counted(direct)
        self.error = 0.0
        """Standard error of a state's log Z in the last call, root mean square."""

    def __call__(self, codes: LogBilinear, states: Tensor, newest: Tensor) -> Gradients:
        """Gradients of the mean log-normaliser: of states (n, r), right (V, r) and bias (V,)."""
        columns = gather(codes, draw(self.chance, self.generator))
        first = self.first[newest]
        counts = self.first[newest + 1] - first
        row = torch.repeat_interleave(counts)
        place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        column = self.column[first[row] + place]
        pairs = (states[row] * codes.right[column]).sum(dim=1) + codes.bias[column]
        grad_states = torch.zeros_like(states)
        grad_drawn, grad_shift = torch.zeros_like(columns.right), torch.zeros_like(columns.shift)
        mass = torch.full_like(states[:, 0], 1 / len(states))
        edges = torch.nn.functional.pad(counts.cumsum(0), (1, 0)).tolist()
        variance, rows = 0.0, block_rows(len(columns.shift))
        for low in range(0, len(states), rows):
            own, high = slice(low, low + rows), min(low + rows, len(states))
            held = slice(edges[low], edges[high])
            variance += float(
                sampled_block(
                    states[own],
                    mass[own],
                    columns,
                    counts[own],
                    columns.slot[column[held]],
                    pairs[held],
                    grad_states[own],
                    grad_drawn,
                    grad_shift,
                )
            )
        self.error = variance**0.5
        grad_states.index_add_(0, row, pairs.unsqueeze(1) * codes.right[column])
        grad_right = torch.zeros_like(codes.right)
        grad_right.index_add_(0, column, pairs.unsqueeze(1) * states[row])
        grad_right.index_add_(0, columns.index, grad_drawn[:-1])
        grad_bias = torch.zeros_like(codes.bias).index_add_(0, column, pairs)
        grad_bias.index_add_(0, columns.index, grad_shift[:-1])
        return grad_states, grad_right, grad_bias


def _most_counted(direct: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row's columns begin, int64 (V + 1,), and its most probable ones, int64."""
    first, column = direct.crow_indices(), direct.col_indices()
    row = torch.repeat_interleave(first.diff())
    order = torch.argsort(direct.values(), descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    rank = torch.arange(len(order), device=row.device) - first[row]
    kept = rank < _FOLLOWERS
    counts = torch.bincount(row[kept], minlength=len(first) - 1)
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0)), column[order][kept]
