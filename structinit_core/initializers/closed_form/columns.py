"""The table gradient from sampled columns, where V×V logits would take minutes a pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.refit import Gradients, TargetTable
from structinit_core.initializers.closed_form.sampling import Sample, chances, draw


@dataclass(frozen=True)
class Columns:
    """Output codes of a sample of n columns on a device, and of one more that is never predicted.

    index: int64 (n,); slot: int64 (V,), a column's place in the sample or n; right (n+1, r);
    shift: bias − log π, (n+1,); spread: 1 − π, (n+1,).
    """

    index: Tensor
    slot: Tensor
    right: Tensor
    shift: Tensor
    spread: Tensor


class SampledGradient:
    """Gradients of the table loss with the model's side estimated from ``size`` columns a call.

    In every row all followers that were counted are taken exactly, and so are the most
    frequent columns; the others drawn stand for the rest by exp(z)/π (importance sampling of
    the partition function: Bengio & Senécal 2003; the division is ours). So Z is estimated
    without bias in every row and its peaks are exact. Called instead of
    :func:`~structinit_core.initializers.closed_form.refit.table_gradient`, with the same
    result up to this error. Cost of a call: 3·(V·size + nnz)·r multiply-adds; memory: a
    block of logits, 24 bytes a bigram. On the CPU deterministic given the generator's state.
    """

    def __init__(self, table: TargetTable, size: int, generator: np.random.Generator) -> None:
        marginal = table.marginal.double().cpu().numpy()
        self.chance = chances(marginal, size)
        self.certain_mass = float(marginal[self.chance == 1].sum())
        self.generator = generator
        self.first = table.direct.crow_indices().tolist()
        self.column = table.direct.col_indices()
        self.transposing = torch.argsort(self.column, stable=True)
        self.error = 0.0
        """Standard error of a row's log Z in the last call, root mean square by row mass."""

    def __call__(self, codes: LogBilinear, table: TargetTable) -> Gradients:
        """Gradients of left (V, r), right (V, r) and bias (V,)."""
        left, right, bias = codes.left, codes.right, codes.bias
        columns = gather(codes, draw(self.chance, self.generator))
        pairs = torch.sparse.sampled_addmm(table.direct, left, right.T, beta=0.0).values()
        pairs += bias[self.column]
        grad_left = torch.outer(table.rest, right.T @ table.lower).neg_()
        grad_right = torch.outer(table.lower, left.T @ table.rest).neg_()
        grad_drawn, grad_shift = torch.zeros_like(columns.right), torch.zeros_like(columns.shift)
        variance, rows = 0.0, block_rows(len(columns.shift))
        for low in range(0, len(left), rows):
            high = min(low + rows, len(left))
            own = slice(self.first[low], self.first[high])
            _, added = sampled_block(
                left[low:high],
                table.mass[low:high],
                columns,
                table.direct.crow_indices()[low : high + 1].diff(),
                columns.slot[self.column[own]],
                pairs[own],
                grad_left[low:high],
                grad_drawn,
                grad_shift,
            )
            variance += float(added)
        self.error = variance**0.5
        grad_bias = torch.zeros_like(bias).index_add_(0, self.column, pairs) - table.marginal
        pairs -= table.direct.values()
        grad_left += _like(table.direct, pairs) @ right
        grad_right += _like(table.transposed, pairs[self.transposing]) @ left
        grad_right.index_add_(0, columns.index, grad_drawn[:-1])
        grad_bias.index_add_(0, columns.index, grad_shift[:-1])
        return grad_left, grad_right, grad_bias


def sampled_block(
    left: Tensor,
    mass: Tensor,
    columns: Columns,
    counts: Tensor,
    slot: Tensor,
    pairs: Tensor,
    grad_left: Tensor,
    grad_right: Tensor,
    grad_shift: Tensor,
) -> tuple[Tensor, Tensor]:
    """Of rows whose model side is added to the gradients, log Z_a (m,) and Σ p_a·Var(log Z_a).

    left (m, r), mass (m,): the rows; counts (m,): how many followers each has; slot, pairs:
    of these followers the place in the sample and the logit, which becomes p_a·P(b|a).
    """
    row = torch.repeat_interleave(counts, output_size=len(pairs))
    logits = torch.addmm(columns.shift, left, columns.right.T)
    logits.view(-1).index_fill_(0, row * logits.shape[1] + slot, -torch.inf)  # they are exact
    top = logits.amax(dim=1).scatter_reduce(0, row, pairs, "amax")
    joint = logits.sub_(top.unsqueeze(1)).exp_()
    pairs.sub_(top.index_select(0, row)).exp_()
    total = joint.sum(dim=1).index_add(0, row, pairs)
    scale = mass / total
    joint *= scale.unsqueeze(1)
    pairs *= scale.index_select(0, row)
    grad_left.addmm_(joint, columns.right)
    grad_right.addmm_(joint.T, left)
    grad_shift += joint.sum(dim=0)
    return top + total.log(), ((joint.square_() @ columns.spread) / mass).sum()


def gather(codes: LogBilinear, sample: Sample) -> Columns:
    """The columns of ``sample`` out of ``codes``, on their device."""
    device, size = codes.right.device, len(sample.items)
    index = torch.from_numpy(sample.items).to(device)
    slot = torch.full((len(codes.bias),), size, dtype=torch.int64, device=device)
    slot.scatter_(0, index, torch.arange(size, device=device))
    chance = torch.from_numpy(sample.chance).to(codes.bias)
    nothing = codes.right.new_zeros(1, codes.right.shape[1])
    right = torch.cat((codes.right.index_select(0, index), nothing))
    never = codes.bias.new_full((1,), -torch.inf)
    shift = torch.cat((codes.bias.index_select(0, index) - chance.log(), never))
    return Columns(index, slot, right, shift, torch.cat((1 - chance, torch.zeros_like(never))))


def _like(pattern: Tensor, values: Tensor) -> Tensor:
    """The sparse matrix of these values where ``pattern`` has its own."""
    return torch.sparse_csr_tensor(
        pattern.crow_indices(), pattern.col_indices(), values, size=pattern.shape
    )
