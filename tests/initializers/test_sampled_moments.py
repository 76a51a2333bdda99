from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.cooc import KneserNey
from structinit_core.corpus import cut_windows
from structinit_core.initializers.closed_form import offset_fit, sampled_moments
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.lag_tables import LagTable, lag_tables
from structinit_core.initializers.closed_form.offset_fit import fit_offsets
from structinit_core.initializers.closed_form.offset_gradient import expected_moments
from structinit_core.initializers.closed_form.sampled_moments import SampledMoments
from structinit_core.linalg import generator
from structinit_core.progress import Silent


@pytest.fixture
def bigram(smoothed: KneserNey) -> LagTable:
    return lag_tables(smoothed, 1, torch.device("cpu"))[0]


@pytest.fixture
def newest(smoothed: KneserNey) -> torch.Tensor:
    share = smoothed.unigram / smoothed.unigram.sum()
    drawn = np.random.default_rng(0).choice(smoothed.vocabulary, 200, p=share)
    return torch.from_numpy(drawn)


def sampled(model: KneserNey, bigram: LagTable, size: int, seed: int = 0) -> SampledMoments:
    return SampledMoments(bigram.direct, model.unigram, size, generator(seed, "columns"))


def test_all_columns_give_the_exact_moments(
    smoothed: KneserNey, bigram: LagTable, codes: LogBilinear, newest: torch.Tensor
) -> None:
    states = codes.left[newest]
    moments = sampled(smoothed, bigram, smoothed.vocabulary)
    exact = expected_moments(codes, states, newest)
    for ours, theirs in zip(moments(codes, states, newest), exact, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-3)
    assert moments.error == 0


def test_many_samples_average_to_the_exact_moments(
    smoothed: KneserNey, bigram: LagTable, codes: LogBilinear, newest: torch.Tensor
) -> None:
    states, moments = codes.left[newest], sampled(smoothed, bigram, 128)
    calls = [moments(codes, states, newest) for _ in range(200)]
    exact = expected_moments(codes, states, newest)
    for parts, theirs in zip(zip(*calls, strict=True), exact, strict=True):
        stacked = torch.stack(parts).double()
        one = float((stacked[0] - theirs).norm() / theirs.norm())
        mean = float((stacked.mean(dim=0) - theirs).norm() / theirs.norm())
        assert mean < 0.2 * one


def test_exact_followers_lower_the_stated_error(
    smoothed: KneserNey,
    bigram: LagTable,
    codes: LogBilinear,
    newest: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = []
    for followers in (0, 64):
        monkeypatch.setattr(sampled_moments, "_FOLLOWERS", followers)
        moments = sampled(smoothed, bigram, 64)
        moments(codes, codes.left[newest], newest)
        errors.append(moments.error)
    assert 0 < errors[1] < 0.7 * errors[0]


def test_above_a_size_the_fit_draws_columns_and_says_so(
    smoothed: KneserNey, codes: LogBilinear, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = cut_windows(smoothed.counts.held_out_spans, 64)
    losses = []
    for size in (1 << 14, 256):
        samples: dict[str, float] = {}
        monkeypatch.setattr(offset_fit, "EXACT_VOCABULARY", size)
        monkeypatch.setattr(offset_fit, "SAMPLED_COLUMNS", 128)
        fitted = fit_offsets(
            codes,
            smoothed,
            (1, 2),
            8,
            16,
            windows=windows,
            seed=0,
            progress=Silent(),
            steps=40,
            samples=samples,
        )
        contexts = offset_fit._held_out(smoothed, windows, 3, torch.device("cpu"))
        losses.append(fitted.loss(*contexts))
    assert samples["offset_columns"] == 128
    assert 0 < samples["offset_log_normalizer_error"] < 1
    assert losses[1] == pytest.approx(losses[0], abs=0.03)
