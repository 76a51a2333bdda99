from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.cooc import KneserNey
from structinit_core.corpus import cut_windows
from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    loss,
    scored_pairs,
)
from structinit_core.initializers.closed_form.contexts import scored_contexts
from structinit_core.initializers.closed_form.lag_tables import LagTable, lag_tables
from structinit_core.initializers.closed_form.offset_start import start_offsets
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.refit import refit, target_table
from structinit_core.linalg import generator
from structinit_core.progress import Silent

CPU = torch.device("cpu")
IDENTITY, HEAD_RANK, PRIOR = 8, 16, 200.0


def start(
    codes: LogBilinear, tables: list[LagTable], lags: tuple[int, ...], groups: int = 1, **changes
) -> OffsetModel:
    size = {"identity": IDENTITY, "head_rank": HEAD_RANK, "prior": PRIOR} | changes
    left, right, bias, identity, *maps = start_offsets(
        codes, tables, lags, groups, *size.values(), generator(0, "test")
    )
    reads = len(maps) - len(lags)
    return OffsetModel(
        LogBilinear(left, right, bias),
        identity,
        lags,
        tuple(maps[:reads]),
        tuple(maps[reads:]),
        groups,
    )


@pytest.fixture
def tables(smoothed: KneserNey) -> list[LagTable]:
    return lag_tables(smoothed, 2, CPU)


def test_before_a_single_step_unseen_text_is_predicted_better_than_by_the_bigram(
    smoothed: KneserNey, codes: LogBilinear, tables: list[LagTable]
) -> None:
    bigram = refit(codes, target_table(smoothed, CPU), Silent())
    windows = cut_windows(smoothed.counts.held_out_spans, 64)
    held_out = scored_contexts(smoothed.counts.held_out, windows, 3, smoothed.vocabulary)
    after = start(bigram, tables, (1, 2)).loss(*(torch.from_numpy(part) for part in held_out))
    pairs = scored_pairs(smoothed.counts.held_out, windows, smoothed.vocabulary)
    assert after < loss(bigram, pairs) - 0.02


def test_the_bigram_is_kept(codes: LogBilinear, tables: list[LagTable]) -> None:
    begun = start(codes, tables, (1,)).codes
    left, right = begun.left, begun.right
    torch.testing.assert_close(left @ right.T, codes.left @ codes.right.T)
    torch.testing.assert_close(left.square().mean(), right.square().mean())


def test_a_map_without_truncation_is_the_step_it_is_solved_for(
    smoothed: KneserNey, codes: LogBilinear, tables: list[LagTable], kn_rows: torch.Tensor
) -> None:
    """Half the Newton step after each token, regressed on the codes, by dense arithmetic."""
    model = start(codes, tables, (2,), head_rank=40, identity=4, prior=0.0)
    right, source = model.codes.right.double(), model.source.double()
    shares = [
        torch.from_numpy(smoothed.counts.offsets[lag].toarray().astype(np.float64))
        for lag in (1, 2)
    ]
    before, after = (each / each.sum(dim=1, keepdim=True).clamp(min=1) for each in shares)
    weight = tables[0].total.double()
    weight = (weight / weight.sum()).unsqueeze(1)
    means = kn_rows @ right
    fisher = right.T @ ((weight * kn_rows).sum(dim=0).unsqueeze(1) * right)
    fisher -= means.T @ (weight * means)
    asked = torch.linalg.solve(ridged(fisher), (after @ right - before @ means).T).T
    solved = torch.linalg.solve(ridged(source.T @ (weight * source)), source.T @ (weight * asked))
    found = next(model.additions()).double()
    torch.testing.assert_close(found, 0.5 * source @ solved, rtol=1e-3, atol=1e-4)


def ridged(gram: torch.Tensor) -> torch.Tensor:
    return gram + 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)


def test_heads_of_one_lag_share_it_out_and_the_first_takes_most(
    codes: LogBilinear, tables: list[LagTable]
) -> None:
    model = start(codes, tables, (1, 1), prior=0.0)
    (whole,) = start(codes, tables, (1,), prior=0.0, head_rank=2 * HEAD_RANK).additions()
    first, second = model.additions()
    torch.testing.assert_close(first + second, whole, rtol=1e-3, atol=1e-4)
    share = tables[0].total.unsqueeze(1)
    assert (share * first.square()).sum() > (share * second.square()).sum() > 0


def test_a_shared_read_serves_every_lag_of_its_group(
    codes: LogBilinear, tables: list[LagTable]
) -> None:
    model = start(codes, tables, (1, 2), groups=2)
    assert [part.shape for part in model.read] == [(HEAD_RANK, 24 + IDENTITY)]
    assert all(float(part.norm()) > 0.01 for part in model.additions())


def test_nothing_to_say_begins_with_nothing(codes: LogBilinear, tables: list[LagTable]) -> None:
    silent = [
        LagTable(*(part * 0 for part in (t.direct, t.transposed, t.rest, t.lower)), t.total)
        for t in tables
    ]
    model = start(codes, [tables[0], *silent[1:]], (2,))
    assert float(next(model.additions()).abs().max()) == 0
    assert bool(torch.isfinite(model.identity).all())


def test_every_tensor_stays_on_the_device() -> None:
    with FakeTensorMode():
        tall, square, row = (torch.empty(*n, device="cuda") for n in ((50, 6), (50, 50), (50,)))
        codes = LogBilinear(tall, tall, row)
        tables = [LagTable(square, square, row, row, row)] * 2
        parts = start_offsets(codes, tables, (1,), 1, 4, 12, PRIOR, generator(0, "test"))
        assert {part.device.type for part in parts} == {"cuda"}
