from __future__ import annotations

import pytest
import torch

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss
from structinit_core.initializers.closed_form.recalibrate import fit_bias, fit_gain, scaled
from structinit_core.initializers.closed_form.refit import target_table


@pytest.mark.parametrize("wrong", [0.6, 1.0, 1.7])
def test_gain_is_the_best_of_its_neighbours(
    codes: LogBilinear, held_out: Pairs, wrong: float
) -> None:
    start = scaled(codes, wrong)
    gain = fit_gain(start, held_out)
    best = loss(scaled(start, gain), held_out)
    for nearby in (gain * 0.98, gain * 1.02):
        assert best <= loss(scaled(start, nearby), held_out)


def test_bias_makes_the_marginal_exact(smoothed: KneserNey, codes: LogBilinear) -> None:
    table = target_table(smoothed, torch.device("cpu"))
    balanced = fit_bias(codes, table.mass, table.marginal)

    def marginal_error(c: LogBilinear) -> float:
        rows = torch.softmax(c.logits(torch.arange(len(c.bias))), dim=1)
        return float((table.mass @ rows - table.marginal).abs().sum())

    assert marginal_error(balanced) < 0.1 * marginal_error(codes)
    assert marginal_error(balanced) < 2e-3
