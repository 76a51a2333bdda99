from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structinit_core.race.result import Estimate
from structinit_core.race.statistics import estimate, excludes_zero
from structinit_core.race.verdict import Comparison, verdict


def said(comparison: Comparison | None = None, **changes: Any) -> str:
    known: dict[str, Any] = {
        "status": "finished",
        "baseline": "default",
        "is_baseline": False,
        "done": 3,
        "planned": 3,
        "learning_rate": 1e-3,
        "tried": [1e-3],
        "diverged_seeds": [],
        "comparison": comparison or Comparison(),
    }
    return verdict(**known | changes)


def about(mean: float, low: float, high: float, n: int = 3) -> Estimate:
    return Estimate(mean=mean, low=low, high=high, n=n)


BELOW = about(-0.31, -0.35, -0.27)
LEVEL = about(0.02, -0.01, 0.05)
SOONER = about(61, 52, 70)


def test_below_and_sooner() -> None:
    assert said(Comparison(BELOW, SOONER, 84.2, 0, 3)) == (
        "Ends 0.31 nats below default (95 % interval 0.27 to 0.35, 3 seeds) and reaches its "
        "final loss 61 s sooner (52 to 70), start included; default itself takes 84 s."
    )


def test_above() -> None:
    above = about(0.1, 0.05, 0.15)
    start = "Ends 0.10 nats above default (95 % interval 0.05 to 0.15, 3 seeds)."
    assert said(Comparison(above, None, 84, 3, 3)) == start
    assert said(Comparison(above, None, 84, 3, 3, lost_at=310)) == (
        f"{start} Led until step 310, then lost the lead."
    )
    later = about(-5, -7, -3)
    assert said(Comparison(above, later, 84, 0, 3)).endswith(
        "5.00 s later (3.00 to 7.00), start included; default itself takes 84 s."
    )


def test_what_is_not_shown_is_a_signed_number() -> None:
    assert said(Comparison(LEVEL, about(5, -2, 12), 84, 0, 3)) == (
        "Ends +0.02 nats relative to default; the interval (−0.01 to +0.05, 3 seeds) does not "
        "exclude no difference. The time to default's final loss differs by −5 s; the "
        "interval (−12 to +2) does not exclude no difference; default itself takes 84 s."
    )
    equal = said(Comparison(about(0, 0, 0), about(0, 0, 0), 84, 0, 3))
    assert "Ends 0.00 nats relative to default; the interval (0.00 to 0.00, 3 seeds)" in equal
    assert "differs by 0.00 s" in equal


def test_below_but_not_sooner() -> None:
    text = said(Comparison(BELOW, about(5, -2, 12), 84, 0, 3))
    assert text.startswith("Ends 0.31 nats below default (95 % interval 0.27 to 0.35, 3 seeds).")
    assert "sooner" not in text


def test_a_seed_that_does_not_get_there() -> None:
    missed = "Does not reach default's final loss in 1 of 3 seeds, so it is not called faster."
    assert said(Comparison(LEVEL, None, 84, 1, 3)).endswith(missed)
    assert said(Comparison(LEVEL, None, None, 3, 3)).endswith(
        "Does not reach default's final loss in any seed."
    )


def test_small_differences_do_not_read_as_zero() -> None:
    small = about(-0.004, -0.0061, -0.0019)
    assert said(Comparison(small, None, None, 0, 3)) == (
        "Ends 0.004 nats below default (95 % interval 0.002 to 0.006, 3 seeds)."
    )
    quick = said(Comparison(BELOW, about(0.42, 0.31, 0.53), 1.2, 0, 3))
    assert "0.42 s sooner (0.31 to 0.53)" in quick


def test_one_seed_has_no_verdict() -> None:
    one = Comparison(Estimate(mean=-0.31, n=1), Estimate(mean=61, n=1), 84, 0, 1)
    assert said(one) == (
        "One seed: −0.31 nats relative to default, without an interval; no verdict."
    )


def test_nothing_to_compare_with() -> None:
    assert said() == "Nothing to compare with: default has no evidence at the same seeds."


def test_the_baseline_and_unfinished_arms() -> None:
    baseline = "The baseline: the others are compared with it."
    assert said(is_baseline=True) == baseline
    assert said(is_baseline=True, diverged_seeds=[2]) == (
        f"{baseline} Seed 2 diverged and is left out."
    )
    assert said(status="unfinished", done=1) == "Unfinished: 1 of 3 seeds."
    assert said(status="unfinished", done=0, planned=1) == "Unfinished: 0 of 1 seed."


@pytest.mark.parametrize(
    ("tried", "text"),
    [
        ([8e-3, 5e-4, 2e-3, 2e-3], "Diverged at every learning rate tried (5e-4 … 8e-3)."),
        ([1.5e-3], "Diverged at the one learning rate tried (1.5e-3)."),
    ],
)
def test_diverged_in_the_sweep(tried: list[float], text: str) -> None:
    assert said(status="diverged", done=0, learning_rate=None, tried=tried) == text


def test_diverged_in_the_evidence() -> None:
    assert said(status="diverged") == "Diverged in all 3 seeds at learning rate 1e-3."
    assert said(status="diverged", done=1) == "Diverged in its one seed at learning rate 1e-3."
    text = said(Comparison(BELOW, None, 84, 1, 3), diverged_seeds=[1, 3])
    assert text.endswith("Seeds 1 and 3 diverged and are left out.")
    assert "sooner" not in text


VALUES = st.lists(st.floats(-50, 50), min_size=1, max_size=5)


@given(st.none() | VALUES, st.none() | VALUES, st.integers(0, 5), st.none() | st.integers(1, 9))
def test_directions_are_claimed_only_outside_the_interval(
    gaps: list[float] | None, savings: list[float] | None, missed: int, lost: int | None
) -> None:
    difference = estimate(gaps) if gaps else None
    saved = estimate(savings) if savings and not missed else None
    text = said(Comparison(difference, saved, 84.0, missed, 5, lost))
    shown = excludes_zero(difference)
    assert not ("below" in text and not (shown and difference and difference.mean < 0))
    assert not ("above" in text and not (shown and difference and difference.mean > 0))
    assert not ("sooner" in text and not (excludes_zero(saved) and saved and saved.mean > 0))
    assert not ("later" in text and not (excludes_zero(saved) and saved and saved.mean < 0))
    assert "faster" not in text.replace("not called faster", "")
    assert text.endswith(".")
    assert ".." not in text
