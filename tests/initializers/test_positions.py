"""Waves with one sharp peak: of searched frequencies, and of amplitudes a programme finds."""

from __future__ import annotations

import numpy as np
import pytest

from structinit_core.initializers.closed_form.positions import (
    LARGEST_LOGIT,
    OTHERS,
    Beam,
    beam,
    frequencies,
    shares,
    side_lobe,
    turned,
)

CONTEXT = 64


def rotary(entries: int, base: float = 1e4, slower: float = 1.0) -> np.ndarray:
    return base ** -(np.arange(0, entries, 2) / entries) / slower


def margin(waves: np.ndarray, amplitudes: np.ndarray, reach: int) -> float:
    distances = np.arange(1, reach)
    return float(((1 - np.cos(np.outer(distances, waves))) @ amplitudes).min())


def test_the_search_beats_a_geometric_series() -> None:
    geometric = (2 * np.pi / 128) ** (np.arange(8) / 7)
    assert side_lobe(frequencies(8, 128, 0), 128) < side_lobe(geometric, 128) - 0.2


def test_a_turned_position_reads_as_an_earlier_one() -> None:
    waves = frequencies(4, CONTEXT, 0)
    angles = np.outer(np.arange(CONTEXT), waves)
    codes = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    assert np.allclose((codes @ turned(np.eye(8), waves, 3))[3:], codes[:-3])


@pytest.mark.parametrize("reach", [32, 1000])
def test_the_shares_stand_out_more_than_any_others(reach: int) -> None:
    waves = rotary(32)
    found = shares(waves, reach)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    draw = np.random.default_rng(0)
    rivals = [*np.eye(16), np.ones(16) / 16, *draw.dirichlet(np.full(16, 0.3), 300)]
    rivals += [np.abs(found + 0.01 * draw.standard_normal(16)) for _ in range(300)]
    best = max(margin(waves, rival / rival.sum(), reach) for rival in rivals)
    assert margin(waves, found, reach) > best


@pytest.mark.parametrize(("entries", "reach"), [(16, 64), (64, 256), (128, 4096)])
@pytest.mark.parametrize("lag", [1, 4])
def test_a_beam_leaves_the_others_their_share(entries: int, reach: int, lag: int) -> None:
    found = beam(rotary(entries), reach, lag, entries // 2)
    assert found.others(reach, lag) == pytest.approx(OTHERS, rel=0.01)
    assert found.amplitudes.sum() < LARGEST_LOGIT
    wide = Beam(found.frequencies, found.amplitudes.sum() * shares(found.frequencies, reach))
    assert found.others(reach, lag) <= wide.others(reach, lag)


def test_slow_waves_are_as_sharp_as_the_bound_lets_them_be() -> None:
    """Interpolated positions: the largest logit, and more than the linear programme gets."""
    waves = rotary(64, slower=4.0)
    found = beam(waves, 256, 1, 32)
    assert found.amplitudes.sum() == pytest.approx(LARGEST_LOGIT)
    widest = Beam(waves, LARGEST_LOGIT * shares(waves, 256))
    assert found.others(256, 1) < widest.others(256, 1) / 2


def test_a_narrow_head_takes_the_waves_that_matter_most() -> None:
    waves = rotary(32)
    found = beam(waves, 64, 2, 3)
    assert np.count_nonzero(found.amplitudes) <= 3
    first = Beam(waves[:3], np.full(3, found.amplitudes.sum() / 3))
    assert found.others(64, 2) < first.others(64, 2)
