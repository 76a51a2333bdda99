from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.cooc import KneserNey
from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.initializers.closed_form import codes as module
from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    Pairs,
    factorise,
    loss,
    scored_pairs,
)


def test_full_rank_is_the_kn_bigram_itself(smoothed: KneserNey, kn_rows: torch.Tensor) -> None:
    full, _ = factorise(smoothed, smoothed.vocabulary, seed=0)
    predicted = torch.softmax(full.logits(torch.arange(smoothed.vocabulary)).double(), dim=1)
    seen = torch.from_numpy(smoothed.totals > 0)
    torch.testing.assert_close(predicted[seen], kn_rows[seen], atol=2e-4, rtol=0)


def test_more_rank_loses_less(smoothed: KneserNey, held_out: Pairs) -> None:
    losses = [loss(factorise(smoothed, rank, seed=0)[0], held_out) for rank in (2, 16, 128)]
    assert losses[0] > losses[1] > losses[2]


def test_seed_moves_the_subspace_within_its_residual_only(
    smoothed: KneserNey, held_out: Pairs
) -> None:
    one, other = (loss(factorise(smoothed, 24, seed)[0], held_out) for seed in (0, 1))
    assert one == pytest.approx(other, abs=5e-3)


def test_loss_is_the_mean_over_all_pairs(codes: LogBilinear, held_out: Pairs) -> None:
    logits = codes.left.double() @ codes.right.double().T + codes.bias.double()
    log_p = torch.log_softmax(logits, dim=1)
    rows, columns = torch.from_numpy(held_out.context), torch.from_numpy(held_out.following)
    expected = -(log_p[rows, columns] * torch.from_numpy(held_out.count)).sum() / held_out.total
    assert loss(codes, held_out) == pytest.approx(float(expected), abs=1e-6)


def test_blocks_do_not_change_the_loss(
    codes: LogBilinear, held_out: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loss(codes, held_out)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 3 * 512)
    assert loss(codes, held_out) == pytest.approx(whole, abs=1e-6)


def test_a_block_never_reaches_a_square_table() -> None:
    assert module.block_rows(16_384) * 16_384 <= module.BLOCK_ELEMENTS
    assert module.block_rows(1 << 24) == 1


def test_scored_pairs_follow_the_scoring_rule() -> None:
    stream = TokenStream(np.array([5, 1, 2, 1, 2, 3, 9], np.uint16), np.array([0, 5, 7]))
    pairs = scored_pairs(stream, cut_windows(np.array([[0, 5], [5, 7]]), 3), vocabulary=10)
    found = {(a, b): n for a, b, n in zip(pairs.context, pairs.following, pairs.count, strict=True)}
    # windows: 5 1 2 | 1 2 | 3 9
    assert found == {(5, 1): 1, (1, 2): 2, (3, 9): 1}
