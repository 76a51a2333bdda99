"""The compute proxy against the figures published for wikitext2."""

from __future__ import annotations

import pytest

from structinit_core.initializers.paired_views import PairedViewsConfig


def test_the_published_example() -> None:
    compute = PairedViewsConfig(vocab_size=4096).compute(16_000, feed_forward=128)
    assert 5 * compute.backprop_epoch() == pytest.approx(6.9e11, rel=5e-3)
    assert compute.initialisation() == pytest.approx(1.57e11, rel=5e-3)
    assert compute.initialisation() / (5 * compute.backprop_epoch()) == pytest.approx(
        0.23, abs=5e-3
    )
    assert compute.fine_tune_epoch() == pytest.approx(9.4e10, rel=5e-3)
    steps = 16_000 // 128
    assert (5 * steps, compute.matched_steps(5, steps)) == (625, 708)


def test_a_start_that_costs_nothing_leaves_more_steps_and_one_too_dear_none() -> None:
    compute = PairedViewsConfig(vocab_size=4096).compute(16_000, feed_forward=128)
    free = compute.matched_steps(5, 125, charged=False)
    paid = compute.initialisation() * 125 / compute.fine_tune_epoch()
    assert free - 708 == pytest.approx(paid, abs=1)
    assert compute.matched_steps(1, 125) == 0
