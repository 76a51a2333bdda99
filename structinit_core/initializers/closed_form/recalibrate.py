"""Gain and bias of the codes: a scalar Newton fit, and proportional fitting of the marginal."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    Pairs,
    block_rows,
    locate,
)
from structinit_core.initializers.closed_form.sampling import Sample

_NEWTON_STEPS = 4
GAIN_RANGE = (0.25, 4.0)
_BIAS_ROUNDS = 8
_NEGLIGIBLE = 1e-6
"""Nats below which another pass over the logits is not worth it."""


def fit_gain(codes: LogBilinear, pairs: Pairs) -> float:
    """The factor on x_a·w_b that minimises the pairs' loss: Newton on one scalar.

    Cost: at most 4 passes over the pairs' contexts, V·r each; it ends when a step is worth
    less than 10⁻⁶ nats. Source: closed-form note 3.2.
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
        low, high = GAIN_RANGE
        gain = min(max(gain - slope / curvature, low), high)
        if slope**2 / curvature <= 2 * _NEGLIGIBLE * pairs.total:
            break
    return gain


def fit_bias(codes: LogBilinear, mass: Tensor, marginal: Tensor, rows: Sample) -> LogBilinear:
    """Codes whose mean prediction over all contexts is ``marginal``: proportional fitting.

    ``mass`` p_a and ``marginal`` (V,) sum to 1; ``rows`` are the contexts looked at, all or
    drawn. Cost: at most 8 passes of V·r a row, in row blocks; it ends when a round is worth
    less than 10⁻⁶ nats, or a hundredth of what the sample is expected to cost.
    """
    bias = codes.bias.clone()
    for _ in range(_BIAS_ROUNDS):
        current = LogBilinear(codes.left, codes.right, bias)
        predicted, variance = predicted_marginal(current, mass, rows)
        noise = relative_error(predicted, variance) ** 2
        missing = torch.log(marginal.double() / predicted)
        bias += missing.to(bias)
        if float(marginal.double() @ missing.square()) <= max(2 * _NEGLIGIBLE, noise / 100):
            break
    return LogBilinear(codes.left, codes.right, bias)


def predicted_marginal(codes: LogBilinear, mass: Tensor, rows: Sample) -> tuple[Tensor, Tensor]:
    """Σ_a p_a·softmax(x_a·Wᵀ + b) and the variance of its estimate: float64 (V,) each.

    Exact, with variance 0, where all contexts are certain; otherwise the variance is the
    estimate of Hartley & Rao 1962 for a systematic sample in random order. Cost: V·r a row;
    blocks are added up in float64.
    """
    device = codes.left.device
    drawn, weights = rows.chance < 1, rows.weights(mass.cpu().numpy())
    spread = np.where(drawn, 1 - rows.chance, 0.0)
    columns = np.stack((weights, weights * drawn, spread * weights))
    totals = torch.zeros(3, len(codes.bias), dtype=torch.float64, device=device)
    squares = torch.zeros_like(totals[0])
    step = block_rows(len(codes.bias))
    for low in range(0, len(rows.items), step):
        at = slice(low, low + step)
        p = torch.softmax(codes.logits(torch.from_numpy(rows.items[at]).to(device)), dim=1)
        totals += (torch.from_numpy(columns[:, at]).to(p) @ p).double()
        if drawn[at].any():
            scale = torch.from_numpy(spread[at] * weights[at] ** 2).to(p)
            squares += (scale @ p.square_()).double()
    count = int(drawn.sum())
    if count < 2:
        return totals[0], squares
    mean, rest = totals[1] / count, float(spread.sum())
    variance = squares - 2 * mean * totals[2] + rest * mean.square()
    return totals[0], (variance * (count / (count - 1))).clamp_(min=0)


def relative_error(marginal: Tensor, variance: Tensor) -> float:
    """Standard error of an estimated marginal relative to it, root mean square by mass.

    Half its square is what fitting the bias to the estimate is expected to cost in nats.
    """
    return float((variance / marginal).sum().sqrt())


def scaled(codes: LogBilinear, gain: float) -> LogBilinear:
    """The same codes with the gain folded into the right factor."""
    return LogBilinear(codes.left, codes.right * gain, codes.bias)
