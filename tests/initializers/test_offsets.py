from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from structinit_core.cooc import KneserNey
from structinit_core.corpus import TokenStream, cut_windows, scored_positions
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form import codes as codes_module
from structinit_core.initializers.closed_form.codes import LogBilinear, loss, scored_pairs
from structinit_core.initializers.closed_form.contexts import Contexts
from structinit_core.initializers.closed_form.offsets import (
    OffsetModel,
    fit_offsets,
    lag_tables,
    offset_gradient,
)
from structinit_core.initializers.closed_form.refit import refit, target_table
from structinit_core.progress import Silent

CPU = torch.device("cpu")
LAGS = (1, 2, 1)


@pytest.fixture
def offsets(codes: LogBilinear) -> OffsetModel:
    draw = torch.Generator().manual_seed(0)
    tokens, rank = codes.left.shape
    return OffsetModel(
        codes,
        torch.randn(tokens, 6, generator=draw),
        LAGS,
        tuple(0.1 * torch.randn(4, rank + 6, generator=draw) for _ in LAGS),
        tuple(0.1 * torch.randn(rank, 4, generator=draw) for _ in LAGS),
    )


def ids(stream: TokenStream, at: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(stream.ids[at].astype(np.int64))


def contexts(model: KneserNey, size: int) -> torch.Tensor:
    return torch.from_numpy(Contexts(model.counts).draw(size, 3, np.random.default_rng(1)))


def test_the_gradient_is_autograds_on_the_drawn_contexts(
    smoothed: KneserNey, offsets: OffsetModel, kn_rows: torch.Tensor
) -> None:
    """Mean log-normaliser of whole contexts minus the score of what each token's table saw."""
    ids = contexts(smoothed, 300)
    leaves = [
        t.double().requires_grad_()
        for t in (
            offsets.codes.left,
            offsets.codes.right,
            offsets.codes.bias,
            offsets.identity,
            *offsets.read,
            *offsets.write,
        )
    ]
    left, right, bias, identity, *maps = leaves
    source = torch.cat((left, identity), dim=1)
    parts = [left[ids[:, 0]]]
    rows = [kn_rows]
    for lag, read, write in zip(LAGS, maps[:3], maps[3:], strict=True):
        parts.append((source @ read.T @ write.T)[ids[:, lag]])
        counted = torch.from_numpy(smoothed.counts.offsets[lag].toarray().astype(np.float64))
        rows.append(counted / counted.sum(dim=1, keepdim=True).clamp(min=1))
    objective = torch.logsumexp(sum(parts) @ right.T + bias, dim=1)
    objective = objective - kn_rows[ids[:, 0]] @ bias
    for part, table, lag in zip(parts, rows, (0, *LAGS), strict=True):
        objective = objective - (part * (table[ids[:, lag]] @ right)).sum(dim=1)
    objective.mean().backward()
    found = offset_gradient(offsets, lag_tables(smoothed, 2, CPU), ids)
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


def test_offsets_predict_unseen_text_better_than_the_bigram(
    smoothed: KneserNey, codes: LogBilinear
) -> None:
    held_out = smoothed.counts.held_out
    windows = cut_windows(smoothed.counts.held_out_spans, 64)
    bigram = refit(codes, target_table(smoothed, CPU), Silent())
    model = fit_offsets(bigram, smoothed, (1, 2), 8, 16, seed=0, progress=Silent(), steps=60)
    before = loss(bigram, scored_pairs(held_out, windows, smoothed.vocabulary))
    at = scored_positions(windows)
    first = np.repeat(windows[:, 0], windows[:, 1] - windows[:, 0] - 1)
    states = model.codes.left[ids(held_out, at - 1)]
    for lag, added in zip(model.lags, model.additions(), strict=True):
        known = torch.from_numpy(at - 1 - lag >= first)
        states = states + known[:, None] * added[ids(held_out, np.maximum(at - 1 - lag, 0))]
    log_p = torch.log_softmax(states @ model.codes.right.T + model.codes.bias, dim=1)
    after = -float(log_p.gather(1, ids(held_out, at)[:, None]).mean())
    assert after < before - 0.05


def test_fitting_twice_gives_the_same_bytes(smoothed: KneserNey, codes: LogBilinear) -> None:
    one, other = (
        fit_offsets(codes, smoothed, (1, 2), 4, 8, seed=0, progress=Silent(), steps=3) for _ in "ab"
    )
    assert torch.equal(one.codes.right, other.codes.right)
    assert torch.equal(one.identity, other.identity)
    assert torch.equal(one.write[1], other.write[1])


def test_non_finite_codes_are_refused(smoothed: KneserNey, codes: LogBilinear) -> None:
    broken = dataclasses.replace(codes, left=codes.left * torch.inf)
    with pytest.raises(NumericalError):
        fit_offsets(broken, smoothed, (1,), 4, 8, seed=0, progress=Silent(), steps=1)
