from __future__ import annotations

import pytest
import torch

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss
from structinit_core.initializers.closed_form.recalibrate import (
    fit_bias,
    fit_gain,
    predicted_marginal,
    relative_error,
    scaled,
)
from structinit_core.initializers.closed_form.refit import target_table
from structinit_core.initializers.closed_form.sampling import Sample, chances, draw
from structinit_core.linalg import generator


def all_of(mass: torch.Tensor) -> Sample:
    return draw(chances(mass.numpy(), len(mass)), generator(0))


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
    balanced = fit_bias(codes, table.mass, table.marginal, all_of(table.mass))

    def marginal_error(c: LogBilinear) -> float:
        rows = torch.softmax(c.logits(torch.arange(len(c.bias))), dim=1)
        return float((table.mass @ rows - table.marginal).abs().sum())

    assert marginal_error(balanced) < 0.1 * marginal_error(codes)
    assert marginal_error(balanced) < 2e-3


@pytest.fixture
def skewed() -> tuple[LogBilinear, torch.Tensor]:
    """Codes of 2,000 tokens, and a steep mass of contexts."""
    draw_of = torch.Generator().manual_seed(0)
    left, right = (0.6 * torch.randn(2000, 8, generator=draw_of) for _ in "ab")
    bias = -torch.log(torch.arange(1.0, 2001.0))[torch.randperm(2000, generator=draw_of)]
    mass = 1 / torch.arange(1.0, 2001.0) ** 1.1
    return LogBilinear(left, right, bias), mass / mass.sum()


def test_sampled_marginals_scatter_about_the_exact_one_as_stated(
    skewed: tuple[LogBilinear, torch.Tensor],
) -> None:
    codes, mass = skewed
    exact, none = predicted_marginal(codes, mass, all_of(mass))
    assert float(none.max()) == 0
    chance, covered, errors, variances = chances(mass.numpy(), 300), [], [], []
    for seed in range(200):
        estimate, variance = predicted_marginal(codes, mass, draw(chance, generator(seed)))
        errors.append(estimate - exact)
        variances.append(variance)
        covered.append(((estimate - exact).abs() <= 1.96 * variance.sqrt()).double() @ exact)
    scatter, stated = torch.stack(errors), torch.stack(variances).mean(dim=0)
    mean_error = scatter.mean(dim=0).abs() / (stated / 200).sqrt()
    assert float(mean_error @ exact) < 1.0, "biased: a normal mean of 200 is 0.8 off on average"
    assert float((scatter.square().mean(dim=0) / stated) @ exact) == pytest.approx(1, abs=0.1)
    assert float(torch.stack(covered).mean()) == pytest.approx(0.95, abs=0.04)


def test_bias_from_a_sample_costs_the_nats_it_states(
    skewed: tuple[LogBilinear, torch.Tensor],
) -> None:
    codes, mass = skewed
    target = torch.softmax(torch.randn(2000, generator=torch.Generator().manual_seed(1)), dim=0)
    stated = cost = 0.0
    chance = chances(mass.numpy(), 500)
    for seed in range(20):
        rows = draw(chance, generator(seed))
        balanced = fit_bias(codes, mass, target, rows)
        stated += relative_error(*predicted_marginal(balanced, mass, rows)) ** 2 / 2
        exact, _ = predicted_marginal(balanced, mass, all_of(mass))
        cost += float(target.double() @ (target.double() / exact).log())
    assert cost == pytest.approx(stated, rel=0.3)
