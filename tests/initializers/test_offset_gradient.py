from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form import codes as codes_module
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.contexts import Contexts
from structinit_core.initializers.closed_form.lag_tables import LagTable, lag_tables
from structinit_core.initializers.closed_form.offset_gradient import (
    offset_gradient,
)
from structinit_core.initializers.closed_form.offsets import OffsetModel

CPU = torch.device("cpu")
LAGS = (1, 2, 1)


@pytest.fixture(params=[1, 2], ids=["own reads", "shared reads"])
def offsets(codes: LogBilinear, request: pytest.FixtureRequest) -> OffsetModel:
    draw = torch.Generator().manual_seed(0)
    tokens, rank = codes.left.shape
    reads = 3 if request.param == 1 else 2
    return OffsetModel(
        codes,
        torch.randn(tokens, 6, generator=draw),
        LAGS,
        tuple(0.1 * torch.randn(4, rank + 6, generator=draw) for _ in range(reads)),
        tuple(0.1 * torch.randn(rank, 4, generator=draw) for _ in LAGS),
        request.param,
    )


def contexts(model: KneserNey, size: int) -> torch.Tensor:
    return torch.from_numpy(Contexts(model.counts).draw(size, 3, np.random.default_rng(1)))


def counted_rows(model: KneserNey, kn_rows: torch.Tensor) -> list[torch.Tensor]:
    """What each lag's table says, dense: the KN bigram, then counted shares."""
    rows = [kn_rows]
    for lag in (1, 2):
        counted = torch.from_numpy(model.counts.offsets[lag].toarray().astype(np.float64))
        rows.append(counted / counted.sum(dim=1, keepdim=True).clamp(min=1))
    return rows


@pytest.mark.parametrize("prior", [0.0, 50.0])
def test_the_gradient_is_autograds_on_the_drawn_contexts(
    smoothed: KneserNey, offsets: OffsetModel, kn_rows: torch.Tensor, prior: float
) -> None:
    """Mean log-normaliser of whole contexts minus the score of what each token's table saw,
    and the prior on each addition in the metric of the mean curvature."""
    ids = contexts(smoothed, 300)
    named = (offsets.codes.left, offsets.codes.right, offsets.codes.bias, offsets.identity)
    leaves = [t.double().requires_grad_() for t in (*named, *offsets.read, *offsets.write)]
    left, right, bias, identity, *maps = leaves
    reads, writes = maps[: len(offsets.read)], maps[len(offsets.read) :]
    source = torch.cat((left, identity), dim=1)
    added = [left, torch.zeros_like(left), torch.zeros_like(left)]
    for head, (lag, write) in enumerate(zip(LAGS, writes, strict=True)):
        added[lag] = added[lag] + source @ reads[head // offsets.groups].T @ write.T
    parts = [each[ids[:, lag]] for lag, each in enumerate(added)]
    logits = sum(parts) @ right.T + bias
    objective = torch.logsumexp(logits, dim=1) - kn_rows[ids[:, 0]] @ bias
    for lag, (part, table) in enumerate(zip(parts, counted_rows(smoothed, kn_rows), strict=True)):
        objective = objective - (part * (table[ids[:, lag]] @ right)).sum(dim=1)
    with torch.no_grad():
        p = torch.softmax(logits, dim=1)
        means = p @ right
        curvature = right.T @ (p.mean(dim=0)[:, None] * right) - means.T @ means / len(ids)
    for lag, part in enumerate(parts[1:], start=1):
        total = torch.from_numpy(
            np.asarray(smoothed.counts.offsets[lag].sum(axis=1), np.float64).ravel()
        ).clamp(min=1)
        energy = ((part @ curvature) * part).sum(dim=1)
        objective = objective + 0.5 * prior / total[ids[:, lag]] * energy
    objective.mean().backward()
    found = offset_gradient(offsets, lag_tables(smoothed, 2, CPU), ids, prior)
    for ours, leaf in zip(found, leaves, strict=True):
        torch.testing.assert_close(ours.double(), leaf.grad, atol=2e-6, rtol=2e-3)


def test_blocks_do_not_change_the_gradient(
    smoothed: KneserNey, offsets: OffsetModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, tables = contexts(smoothed, 300), lag_tables(smoothed, 2, CPU)
    whole = offset_gradient(offsets, tables, ids)
    monkeypatch.setattr(codes_module, "BLOCK_ELEMENTS", 7 * smoothed.vocabulary)
    for one, other in zip(whole, offset_gradient(offsets, tables, ids), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-4)


def test_heads_that_share_a_read_are_heads_with_equal_reads(offsets: OffsetModel) -> None:
    alone = dataclasses.replace(
        offsets, read=tuple(offsets.read[at] for at in offsets.head_reads), groups=1
    )
    for shared, own in zip(offsets.additions(), alone.additions(), strict=True):
        assert torch.equal(shared, own)


def test_cuda_tensors_never_meet_cpu_tensors() -> None:
    """Device mixing raises under FakeTensorMode; dense tables stand for sparse ones."""
    with FakeTensorMode():
        left, right, square = (torch.empty(64, n, device="cuda") for n in (8, 8, 64))
        bias, read, write = (torch.empty(n, device="cuda") for n in ((64,), (4, 14), (8, 4)))
        codes = LogBilinear(left, right, bias)
        identity = torch.empty(64, 6, device="cuda")
        offsets = OffsetModel(codes, identity, (1, 2), (read, read), (write, write))
        tables = [LagTable(square, square, bias, bias, bias)] * 3
        ids = torch.zeros(16, 3, dtype=torch.int64, device="cuda")
        gradients = offset_gradient(offsets, tables, ids, 1.0)
        parameters = (left, right, bias, identity, read, read, write, write)
        assert all(part.is_cuda for part in gradients)
        assert [part.shape for part in gradients] == [part.shape for part in parameters]
