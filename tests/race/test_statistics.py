from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from structinit_core.model import Bucket, Induction
from structinit_core.race.record import Probe
from structinit_core.race.statistics import (
    Table,
    arrival_step,
    crossover,
    estimate,
    excludes_zero,
    mean_buckets,
    mean_induction,
    paired,
)

LOSSES = st.floats(0, 12, allow_nan=False)


def test_the_interval_is_students() -> None:
    # t(0.975, 2) = 4.302653; sd of 1, 2, 3 is 1.
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.low == pytest.approx(2 - 4.3026527 / math.sqrt(3))
    assert found.high == pytest.approx(2 + 4.3026527 / math.sqrt(3))
    assert found.n == 3


def test_one_value_has_no_interval_and_equal_values_one_of_no_width() -> None:
    assert (estimate([4.0]).low, estimate([4.0]).high, estimate([4.0]).n) == (None, None, 1)
    assert estimate([4.0, 4.0]).low == estimate([4.0, 4.0]).high == 4
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_paired_agrees_with_the_paired_t_test() -> None:
    a, b = [3.1, 3.4, 3.0, 3.3], [3.5, 3.6, 3.5, 3.4]
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = paired(a, b)
    assert found.low == pytest.approx(interval.low)
    assert found.high == pytest.approx(interval.high)
    # The seeds' common part cancels: an unpaired interval is wider.
    wide = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert found.mean == pytest.approx((wide.low + wide.high) / 2)
    with pytest.raises(ValueError, match="zip"):
        paired(a, b[:3])


def test_zero_is_excluded_only_by_an_interval_on_one_side() -> None:
    assert excludes_zero(estimate([1.0, 1.1]))
    assert excludes_zero(estimate([-1.0, -1.1]))
    assert not excludes_zero(estimate([-1.0, 1.0]))
    assert not excludes_zero(estimate([0.0, 0.0]))
    assert not excludes_zero(estimate([5.0]))
    assert not excludes_zero(None)


@pytest.mark.parametrize(
    ("target", "step"),
    [(9.0, 0.0), (8.0, 0.0), (7.0, 5.0), (6.0, 10.0), (5.0, 20.0), (4.0, 30.0), (3.9, None)],
)
def test_arrivals_are_interpolated(target: float, step: float | None) -> None:
    assert arrival_step([0, 10, 30], [8.0, 6.0, 4.0], target) == step


def test_the_first_passage_counts_even_if_the_loss_rises_again() -> None:
    assert arrival_step([0, 10, 20, 30], [8.0, 4.0, 9.0, 3.0], 6.0) == 5
    assert arrival_step([0, 10, 20], [8.0, 5.0, 5.0], 5.0) == 10
    assert arrival_step([], [], 5.0) is None


@given(st.lists(LOSSES, min_size=1, max_size=8), LOSSES)
def test_an_arrival_lies_before_the_first_point_below(losses: list[float], target: float) -> None:
    steps = [10 * i for i in range(len(losses))]
    below = [i for i, loss in enumerate(losses) if loss <= target]
    found = arrival_step(steps, losses, target)
    if not below:
        assert found is None
    else:
        assert found is not None
        assert steps[max(0, below[0] - 1)] <= found <= steps[below[0]]


@pytest.mark.parametrize(
    ("difference", "step"),
    [
        ([0.0, -0.2, -0.1, 0.1, 0.2], 30),
        ([0.0, 0.0, 0.0, 0.0, 0.0], None),  # equal curves never lead
        ([0.0, 0.1, 0.2, 0.1, 0.1], None),  # never led
        ([-0.5, -0.4, -0.3, -0.2, -0.1], None),  # still leads
        ([-0.1, 0.1, -0.1, 0.1, -0.1], None),  # crossed often, leads at the end
        ([-0.3, 0.01, -0.01, 0.01, 0.1], 30),  # noise: the last change counts
        ([0.0, -0.2, -0.1, -0.1, 0.0], 40),  # level at the end is no lead
        ([-0.2, 0.1, 0.2, 0.2, 0.2], 10),  # led at the start only
    ],
)
def test_a_lead_is_lost_after_the_last_step_ahead(
    difference: list[float], step: int | None
) -> None:
    assert crossover([0, 10, 20, 30, 40], difference) == step
    assert crossover([], []) is None


def test_curves_meet_on_their_common_steps() -> None:
    a, b = {0: 8.0, 5: 7.0, 10: 6.0}, {0: 8.5, 7: 7.5, 10: 6.5}
    table = Table.of([a, b])
    assert table.steps == (0, 10)
    assert table.rows == ((8.0, 6.0), (8.5, 6.5))
    assert Table.of([a], [b]).rows == ((-0.5, -0.5),)
    assert (table.nearest(3), table.nearest(5), table.nearest(9)) == (0, 0, 10)
    assert Table.of([a]).curve().low is None
    band = table.curve()
    assert band.mean == (8.25, 6.25)
    assert band.low is not None
    assert band.low[1] == pytest.approx(6.25 - 12.7062047 * 0.25)  # t(0.975, 1), sd/√2 = 0.25
    with pytest.raises(ValueError, match="common step"):
        Table.of([{0: 1.0}, {1: 1.0}])
    with pytest.raises(ValueError, match="common step"):
        Table.of([])


def test_probes_are_averaged_bucket_by_bucket() -> None:
    def probe(*losses: float) -> Probe:
        rare = Bucket(low=0, high=1, tokens=3, loss=losses[0])
        often = Bucket(low=1, high=None, tokens=9, loss=losses[1])
        return Probe(buckets=(rare, often)[: len(losses)], induction=None)

    changes = mean_buckets([(probe(9.0, 8.0), probe(5.0, 3.0)), (probe(9.5, 8.0), probe(6.0, 2.0))])
    assert [(c.start.loss, c.end.loss) for c in changes] == [(9.25, 5.5), (8.0, 2.5)]
    assert [(c.start.tokens, c.end.high) for c in changes] == [(3, 1), (9, None)]
    assert mean_buckets([]) == ()
    assert mean_induction([probe(1.0, 1.0)]) is None
    one, two = Induction(first=6.0, second=2.0), Induction(first=7.0, second=1.0)
    probes = [Probe(buckets=(), induction=found) for found in (one, two, None)]
    assert mean_induction(probes) == Induction(first=6.5, second=1.5)
