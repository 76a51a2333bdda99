"""Gain and bias of the codes: a scalar Newton fit, and proportional fitting of the marginal."""

from __future__ import annotations

import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    Pairs,
    block_rows,
    locate,
)

_NEWTON_STEPS = 4
_GAIN_RANGE = (0.25, 4.0)
_BIAS_ROUNDS = 8


def fit_gain(codes: LogBilinear, pairs: Pairs) -> float:
    """The factor on x_a·w_b that minimises the pairs' loss: Newton on one scalar.

    Cost: one pass over the pairs' contexts, V·r each, a step. Source: closed-form note 3.2.
    """
    gain, device = 1.0, codes.left.device
    for _ in range(_NEWTON_STEPS):
        slope = curvature = 0.0
        for contexts, owned in pairs.blocks(len(codes.bias)):
            rows = torch.from_numpy(contexts).to(device)
            scores = codes.left[rows] @ codes.right.T
            row, column, weight = locate(pairs, contexts, owned, device)
            mass = torch.zeros(len(rows), dtype=torch.float64, device=device)
            mass.index_add_(0, row, weight)
            p = torch.softmax(gain * scores + codes.bias, dim=1)
            mean = (p * scores).sum(dim=1)
            variance = (p * scores.square()).sum(dim=1) - mean.square()
            slope += float((mass * mean).sum() - (weight * scores[row, column]).sum())
            curvature += float((mass * variance).sum())
        if curvature <= 0:
            break
        low, high = _GAIN_RANGE
        gain = min(max(gain - slope / curvature, low), high)
    return gain


def fit_bias(codes: LogBilinear, mass: Tensor, marginal: Tensor) -> LogBilinear:
    """Codes whose mean prediction over all contexts is ``marginal``: proportional fitting.

    ``mass`` p_a and ``marginal`` (V,) sum to 1. Cost: 8 passes of V²·r in row blocks.
    """
    bias = codes.bias.clone()
    rows = block_rows(len(bias))
    for _ in range(_BIAS_ROUNDS):
        predicted = torch.zeros_like(bias)
        for low in range(0, len(bias), rows):
            logits = torch.addmm(bias, codes.left[low : low + rows], codes.right.T)
            predicted += mass[low : low + rows] @ torch.softmax(logits, dim=1)
        bias += torch.log(marginal / predicted)
    return LogBilinear(codes.left, codes.right, bias)


def scaled(codes: LogBilinear, gain: float) -> LogBilinear:
    """The same codes with the gain folded into the right factor."""
    return LogBilinear(codes.left, codes.right * gain, codes.bias)
