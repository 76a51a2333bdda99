from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss
from structinit_core.initializers.closed_form.columns import (
    Columns,
    SampledGradient,
    gather,
    sampled_block,
)
from structinit_core.initializers.closed_form.refit import (
    TargetTable,
    refit,
    table_gradient,
    target_table,
)
from structinit_core.initializers.closed_form.sampling import chances, draw
from structinit_core.linalg import generator
from structinit_core.progress import Silent


@pytest.fixture
def table(smoothed: KneserNey) -> TargetTable:
    return target_table(smoothed, torch.device("cpu"))


def sampled(table: TargetTable, size: int, seed: int = 0) -> SampledGradient:
    return SampledGradient(table, size, generator(seed, "columns"))


def test_all_columns_give_the_exact_gradient(table: TargetTable, codes: LogBilinear) -> None:
    gradient = sampled(table, len(codes.bias))
    for ours, exact in zip(gradient(codes, table), table_gradient(codes, table), strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-6, rtol=1e-3)
    assert gradient.error == 0


def test_many_samples_average_to_the_exact_gradient(table: TargetTable, codes: LogBilinear) -> None:
    draws = 200
    gradient = sampled(table, 128)
    calls = [gradient(codes, table) for _ in range(draws)]
    for parts, exact in zip(zip(*calls, strict=True), table_gradient(codes, table), strict=True):
        stacked = torch.stack(parts).double()
        one = float((stacked[0] - exact).norm() / exact.norm())
        mean = float((stacked.mean(dim=0) - exact).norm() / exact.norm())
        assert mean < 0.2 * one


def test_the_stated_error_is_that_of_the_log_normalizer(codes: LogBilinear) -> None:
    """One follower a row is exact, the others are drawn."""
    size = len(codes.bias)
    rows, logits = torch.arange(size), codes.logits(torch.arange(size))
    mass, own = torch.full((size,), 1 / size), logits.argmax(dim=1)
    chance = chances(torch.softmax(codes.bias, 0).double().numpy(), 128)
    measured = stated = 0.0
    for seed in range(50):
        columns = gather(codes, draw(chance, generator(seed)))
        pairs = logits[rows, own]
        into = [torch.zeros_like(t) for t in (codes.left, columns.right, columns.shift)]
        once = torch.ones(size, dtype=torch.int64)
        log_z, variance = sampled_block(
            codes.left, mass, columns, once, columns.slot[own], pairs, *into
        )
        stated += float(variance)
        torch.testing.assert_close(log_z, logits[rows, own] - torch.log(pairs / mass))
        measured += float(mass @ (log_z - torch.logsumexp(logits, dim=1)).square())
    assert stated == pytest.approx(measured, rel=0.2)


def test_refit_by_columns_comes_close_to_the_exact_one(
    table: TargetTable, codes: LogBilinear, held_out: Pairs
) -> None:
    exact = refit(codes, table, Silent())
    better = refit(codes, table, Silent(), gradient=sampled(table, 128))
    gained = loss(codes, held_out) - loss(exact, held_out)
    assert loss(better, held_out) < loss(codes, held_out) - 0.8 * gained


def test_equal_seeds_give_the_same_bytes(table: TargetTable, codes: LogBilinear) -> None:
    one, same, other = (
        refit(codes, table, Silent(), steps=3, gradient=sampled(table, 64, seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.left, same.left)
    assert torch.equal(one.right, same.right)
    assert not torch.equal(one.right, other.right)


def test_cuda_tensors_never_meet_cpu_tensors() -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    with FakeTensorMode():
        on = {"device": "cuda"}
        left, right = torch.empty(16, 8, **on), torch.empty(5, 8, **on)
        slots, pairs = torch.zeros(32, dtype=torch.int64, **on), torch.empty(32, **on)
        counts = torch.full((16,), 2, dtype=torch.int64, **on)
        index = torch.zeros(4, dtype=torch.int64, **on)
        columns = Columns(index, slots, right, torch.empty(5, **on), torch.empty(5, **on))
        gradients = [torch.zeros_like(t) for t in (left, right, columns.shift)]
        mass = torch.empty(16, **on)
        _, error = sampled_block(left, mass, columns, counts, slots, pairs, *gradients)
        assert all(t.is_cuda for t in (error, *gradients))
