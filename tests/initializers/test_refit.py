from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form import codes as codes_module
from structinit_core.initializers.closed_form import refit as module
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss, row_mass
from structinit_core.initializers.closed_form.refit import (
    adaptive_step,
    model_block_gradient,
    refit,
    table_gradient,
    target_table,
)
from structinit_core.progress import Silent

CPU = torch.device("cpu")


def table_loss(codes: LogBilinear, rows: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the dense KN rows under the codes, weighted by row mass."""
    logits = codes.left @ codes.right.T + codes.bias
    return -(mass[:, None] * rows * torch.log_softmax(logits, dim=1)).sum()


def test_gradient_equals_autograd_on_the_dense_table(
    smoothed: KneserNey, codes: LogBilinear, kn_rows: torch.Tensor
) -> None:
    mass = torch.from_numpy(row_mass(smoothed))
    leaves = [t.double().requires_grad_() for t in (codes.left, codes.right, codes.bias)]
    table_loss(LogBilinear(*leaves), kn_rows, mass).backward()
    for ours, leaf in zip(table_gradient(codes, target_table(smoothed, CPU)), leaves, strict=True):
        torch.testing.assert_close(ours.double(), leaf.grad, atol=2e-6, rtol=1e-3)


def test_blocks_do_not_change_the_gradient(
    smoothed: KneserNey, codes: LogBilinear, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = target_table(smoothed, CPU)
    whole = table_gradient(codes, table)
    monkeypatch.setattr(codes_module, "BLOCK_ELEMENTS", 7 * smoothed.vocabulary)
    for one, other in zip(whole, table_gradient(codes, table), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-4)


def test_refit_closes_most_of_the_gap_to_the_exact_table(
    smoothed: KneserNey, codes: LogBilinear, kn_rows: torch.Tensor
) -> None:
    mass = torch.from_numpy(row_mass(smoothed))
    exact = float(-(mass[:, None] * kn_rows * kn_rows.log()).sum())
    before = float(table_loss(codes, kn_rows, mass)) - exact
    better = refit(codes, target_table(smoothed, CPU), Silent())
    after = float(table_loss(better, kn_rows, mass)) - exact
    assert 0 <= after < 0.5 * before


def test_refit_helps_on_text_it_never_saw(
    smoothed: KneserNey, codes: LogBilinear, held_out: Pairs
) -> None:
    better = refit(codes, target_table(smoothed, CPU), Silent())
    assert loss(better, held_out) < loss(codes, held_out) - 0.1


def test_refit_leaves_its_start_untouched(smoothed: KneserNey, codes: LogBilinear) -> None:
    before = [t.clone() for t in (codes.left, codes.right, codes.bias)]
    refit(codes, target_table(smoothed, CPU), Silent(), steps=2)
    for one, other in zip(before, (codes.left, codes.right, codes.bias), strict=True):
        assert torch.equal(one, other)


def test_refit_twice_gives_the_same_bytes(smoothed: KneserNey, codes: LogBilinear) -> None:
    one, other = (refit(codes, target_table(smoothed, CPU), Silent(), steps=4) for _ in "ab")
    assert torch.equal(one.left, other.left)
    assert torch.equal(one.right, other.right)


def test_cuda_tensors_never_meet_cpu_tensors() -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    with FakeTensorMode():
        left, right = (torch.empty(64, 8, device="cuda") for _ in "ab")
        bias, mass = (torch.empty(64, device="cuda") for _ in "ab")
        codes = LogBilinear(left, right, bias)
        gradients = [torch.zeros_like(t) for t in (left, right, bias)]
        model_block_gradient(codes, mass, 0, 16, *gradients)
        for value, gradient in zip((left, right, bias), gradients, strict=True):
            mean, square = torch.zeros_like(value), torch.zeros_like(value)
            adaptive_step(value, gradient, mean, square, 1, 0.1)
            assert value.device.type == "cuda"
        assert codes.logits(torch.arange(4, device="cuda")).is_cuda


@pytest.mark.cuda
def test_cuda_refit_agrees_with_cpu(smoothed: KneserNey, codes: LogBilinear) -> None:
    device = torch.device("cuda")
    here = refit(codes, target_table(smoothed, CPU), Silent())
    there = refit(codes.to(device), target_table(smoothed, device), Silent()).to(CPU)
    rows = torch.arange(smoothed.vocabulary)
    torch.testing.assert_close(here.logits(rows), there.logits(rows), atol=0.05, rtol=0.05)


def test_non_finite_codes_are_refused(smoothed: KneserNey, codes: LogBilinear) -> None:
    broken = LogBilinear(codes.left * torch.inf, codes.right, codes.bias)
    with pytest.raises(module.NumericalError):
        refit(broken, target_table(smoothed, CPU), Silent(), steps=1)
