from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from structinit_core.cooc import KneserNey
from structinit_core.corpus import cut_windows
from structinit_core.initializers.closed_form import codes as codes_module
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
    for followers in (1, 64):
        monkeypatch.setattr(sampled_moments, "FOLLOWERS", followers)
        moments = sampled(smoothed, bigram, 64)
        moments(codes, codes.left[newest], newest)
        errors.append(moments.error)
    assert 0 < errors[1] < 0.7 * errors[0]


def test_blocks_do_not_change_the_moments(
    smoothed: KneserNey,
    bigram: LagTable,
    codes: LogBilinear,
    newest: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = codes.left[newest]
    whole = sampled(smoothed, bigram, 128)(codes, states, newest)
    monkeypatch.setattr(codes_module, "BLOCK_ELEMENTS", 7 * 64 * codes.left.shape[1])
    for one, other in zip(
        whole, sampled(smoothed, bigram, 128)(codes, states, newest), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-4)


def test_no_allocation_grows_with_contexts_followers_and_rank_at_once(
    smoothed: KneserNey, bigram: LagTable, codes: LogBilinear, newest: torch.Tensor
) -> None:
    moments, many = sampled(smoothed, bigram, 128), newest.repeat(20)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        moments(codes, codes.left[many], many)
    largest = max(
        event.self_cpu_memory_usage // max(event.count, 1) for event in measured.key_averages()
    )
    assert largest <= 4 * codes_module.BLOCK_ELEMENTS


def test_cuda_tensors_never_meet_cpu_tensors(smoothed: KneserNey, bigram: LagTable) -> None:
    """Device mixing raises under FakeTensorMode, without a GPU."""
    moments = sampled(smoothed, bigram, 64)
    tokens = smoothed.vocabulary
    with FakeTensorMode():
        left, right = (torch.empty(tokens, 8, device="cuda") for _ in "ab")
        codes = LogBilinear(left, right, torch.empty(tokens, device="cuda"))
        newest = torch.zeros(16, dtype=torch.int64, device="cuda")
        moments.counts = torch.zeros(tokens, dtype=torch.int64, device="cuda")
        moments.column = torch.zeros(tokens, 64, dtype=torch.int64, device="cuda")
        found = moments(codes, torch.empty(16, 8, device="cuda"), newest)
        assert all(part.is_cuda for part in (*found, moments.variance))


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
