"""Gradient of the offsets' fit: moments of the count tables against those of drawn contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.lag_tables import LagTable
from structinit_core.initializers.closed_form.offsets import OffsetModel

Moments = tuple[Tensor, Tensor, Tensor]
"""Gradients of the mean log-normaliser of n states: of states (n, r), right and bias."""
Expected = Callable[[LogBilinear, Tensor, Tensor], Moments]
"""From codes, states (n, r) and the newest token of each, int64 (n,)."""


def expected_moments(codes: LogBilinear, states: Tensor, _newest: Tensor) -> Moments:
    """Gradients of the mean log-normaliser of ``states`` (n, r) over all columns; n·V·r."""
    grad_states = torch.empty_like(states)
    grad_right, grad_bias = torch.zeros_like(codes.right), torch.zeros_like(codes.bias)
    rows = block_rows(len(codes.bias))
    for block, slope in zip(torch.split(states, rows), torch.split(grad_states, rows), strict=True):
        p = torch.softmax(torch.addmm(codes.bias, block, codes.right.T), dim=1)
        p /= len(states)
        torch.mm(p, codes.right, out=slope)
        grad_right.addmm_(p.T, block)
        grad_bias += p.sum(dim=0)
    return grad_states, grad_right, grad_bias


def offset_gradient(
    model: OffsetModel,
    tables: Sequence[LagTable],
    ids: Tensor,
    prior: float = 0.0,
    expected: Expected = expected_moments,
) -> list[Tensor]:
    """Gradients of left, right, bias, identity, every read and every write.

    ids: drawn contexts, newest token first, int64 (n, lags + 1) or wider. ``prior``: the
    occurrences that "adds nothing" counts as for every source token at every lag, in the
    metric of the mean curvature F = Wᵀ(diag q − q·qᵀ)W: c_a occurrences of a then move its
    addition c_a/(c_a + prior) of the way to what they ask for alone.
    """
    codes, source = model.codes, model.source
    inner = [source @ read.T for read in model.read]
    sums = [codes.left, *(torch.zeros_like(codes.left) for _ in tables[1:])]
    for lag, read, write in zip(model.lags, model.head_reads, model.write, strict=True):
        sums[lag].addmm_(inner[read], write.T)
    drawn = ids.unbind(dim=1)
    parts = [each.index_select(0, at) for each, at in zip(sums, drawn, strict=False)]
    states = torch.stack(parts).sum(dim=0)
    grad_states, grad_right, grad_bias = expected(codes, states, drawn[0])
    curvature = codes.right.T @ (grad_bias.unsqueeze(1) * codes.right)
    curvature.addmm_(grad_states.T, grad_states, alpha=-len(ids))
    slopes, once = [], states.new_full((len(ids),), 1 / len(ids))
    for lag, (each, table) in enumerate(zip(sums, tables, strict=True)):
        share = torch.zeros_like(table.total).index_add_(0, drawn[lag], once)
        observed = table.direct @ codes.right
        weighted = share.unsqueeze(1) * each
        grad_right -= table.transposed @ weighted
        if lag == 0:
            observed += torch.outer(table.rest, table.lower @ codes.right)
            grad_right -= torch.outer(table.lower, table.rest @ weighted)
            grad_bias -= (table.transposed @ share.unsqueeze(1)).squeeze(1)
            grad_bias -= table.lower * (table.rest @ share)
        slope = observed.mul_(-share.unsqueeze(1)).index_add_(0, drawn[lag], grad_states)
        if lag and prior:
            slope.addmm_((prior / table.total).unsqueeze(1) * weighted, curvature)
        slopes.append(slope)
    grad_source = torch.zeros_like(source)
    reads, writes = [torch.zeros_like(read) for read in model.read], []
    for lag, read, write in zip(model.lags, model.head_reads, model.write, strict=True):
        back = slopes[lag] @ write
        reads[read].addmm_(back.T, source)
        writes.append(slopes[lag].T @ inner[read])
        grad_source.addmm_(back, model.read[read])
    widths = [codes.left.shape[1], model.identity.shape[1]]
    grad_read, grad_identity = torch.split(grad_source, widths, dim=1)
    return [slopes[0] + grad_read, grad_right, grad_bias, grad_identity, *reads, *writes]
