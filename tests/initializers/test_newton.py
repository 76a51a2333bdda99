from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.cooc import KneserNey
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form import newton
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss, row_mass
from structinit_core.initializers.closed_form.newton import (
    newton_columns,
    newton_rows,
    refit_second_order,
)
from structinit_core.initializers.closed_form.refit import TargetTable, target_table
from structinit_core.progress import Silent


@pytest.fixture
def table(smoothed: KneserNey) -> TargetTable:
    return target_table(smoothed, torch.device("cpu"))


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def row_losses(codes: LogBilinear, rows: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each dense KN row: float64 (V,)."""
    logits = codes.left.double() @ codes.right.double().T + codes.bias.double()
    return -(rows * torch.log_softmax(logits, dim=1)).sum(dim=1)


def total(codes: LogBilinear, model: KneserNey, rows: torch.Tensor) -> float:
    return float(torch.from_numpy(row_mass(model)) @ row_losses(codes, rows))


def test_no_row_gets_worse_and_most_get_better(
    codes: LogBilinear, table: TargetTable, kn_rows: torch.Tensor
) -> None:
    gained = row_losses(codes, kn_rows) - row_losses(newton_rows(codes, table, random()), kn_rows)
    assert float(gained.min()) > -1e-5
    assert float((gained > 1e-4).double().mean()) > 0.9


def test_a_step_from_the_whole_curvature_is_newtons(
    codes: LogBilinear, table: TargetTable, kn_rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against autograd's Hessian of one row's cross entropy."""
    for name, value in (("_CURVATURE_SAMPLE", 1 << 20), ("_DAMPING", 0.0), ("_LONGEST", 1e9)):
        monkeypatch.setattr(newton, name, value)
    moved = newton_rows(codes, table, random()).left - codes.left
    right, bias, row = codes.right.double(), codes.bias.double(), 7

    def cross_entropy(x: torch.Tensor) -> torch.Tensor:
        return -(kn_rows[row] * torch.log_softmax(right @ x + bias, dim=0)).sum()

    at = codes.left[row].double()
    slope = torch.autograd.functional.jacobian(cross_entropy, at)
    hessian = torch.autograd.functional.hessian(cross_entropy, at)
    hessian += newton._FLOOR * torch.eye(len(at), dtype=torch.float64)
    expected = -torch.linalg.solve(hessian, slope)
    lengths = moved[row].double() / expected
    assert lengths[0] == pytest.approx(
        0.4 ** round(float(lengths[0].log() / np.log(0.4))), rel=0.02
    )
    torch.testing.assert_close(moved[row].double(), lengths[0] * expected, atol=1e-3, rtol=0.02)


def test_every_half_round_lowers_the_table_loss(
    smoothed: KneserNey, codes: LogBilinear, table: TargetTable, kn_rows: torch.Tensor
) -> None:
    draw, losses = random(), [total(codes, smoothed, kn_rows)]
    for _ in range(3):
        for half in (newton_rows, newton_columns):
            codes = half(codes, table, draw)
            losses.append(total(codes, smoothed, kn_rows))
    assert all(after < before for before, after in itertools.pairwise(losses))


def test_unhelpful_columns_stay(
    codes: LogBilinear, table: TargetTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    uphill = newton._solved
    monkeypatch.setattr(newton, "_solved", lambda *given: -uphill(*given))
    assert torch.equal(newton_columns(codes, table, random()).right, codes.right)
    assert torch.equal(newton_rows(codes, table, random()).left, codes.left)


def test_it_helps_on_text_it_never_saw(
    codes: LogBilinear, table: TargetTable, held_out: Pairs
) -> None:
    better = refit_second_order(codes, table, Silent(), random())
    assert loss(better, held_out) < loss(codes, held_out) - 0.1


def test_equal_generators_give_the_same_bytes(codes: LogBilinear, table: TargetTable) -> None:
    one, other = (refit_second_order(codes, table, Silent(), random(), rounds=1) for _ in "ab")
    assert torch.equal(one.left, other.left)
    assert torch.equal(one.right, other.right)


def test_non_finite_codes_are_refused(codes: LogBilinear, table: TargetTable) -> None:
    broken = LogBilinear(codes.left * torch.inf, codes.right, codes.bias)
    with pytest.raises(NumericalError):
        refit_second_order(broken, table, Silent(), random(), rounds=1)


def test_cuda_tensors_never_meet_cpu_tensors() -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    with FakeTensorMode():
        triangle = newton._squares(torch.empty(16, 8, device="cuda"))
        assert newton._full(triangle, 8).is_cuda
