"""Published differences against a race's own: what holds, what does not, what is not shown."""

from __future__ import annotations

import pytest

from structinit_core.race.claims import ABOVE, Claim, claim_notes, paired_difference
from structinit_core.race.presets import PRESETS
from structinit_core.race.result import Curve

CLAIM = Claim("table 0", "mine", -0.5, ("base",))


def at(arm, name: str, *ends: float, start: float = 6.0, **changes):
    """An arm whose runs, one a seed from 1 on, begin at ``start`` and end at ``ends``."""
    runs = tuple((start, end) for end in ends)
    mean = (start, sum(ends) / len(ends))
    curve = Curve(steps=(0, 1000), mean=mean, low=None, high=None, runs=runs)
    seeds = tuple(range(1, 1 + len(ends)))
    return arm(name, **({"curve": curve, "seeds": seeds} | changes))


@pytest.mark.parametrize(
    ("ends", "claim", "said"),
    [
        ((4.79, 4.80, 4.81), CLAIM, "-0.200 [-0.225, -0.175]: the sign holds, 40% of the size"),
        ((5.19, 5.20, 5.21), CLAIM, "+0.200 [+0.175, +0.225]: does not hold"),
        ((4.60, 5.00, 5.40), CLAIM, "not shown"),
        ((4.80,), CLAIM, "-0.200: one seed shows nothing"),
        (
            (5.19, 5.20, 5.21),
            Claim("x", "mine", 0.5, ("base",), ABOVE),
            "the sign holds, 40% of the size",
        ),
        ((4.99, 5.01, 5.00), Claim("x", "mine", 0.02, ("base",), (-0.1, 0.1)), ": holds"),
        ((5.19, 5.20, 5.21), Claim("x", "mine", 0.02, ("base",), (-0.1, 0.1)), "does not hold"),
    ],
)
def test_a_claim_holds_where_the_interval_lies_in_its_range(arm, ends, claim, said: str) -> None:
    base = at(arm, "base", *(5.0 for _ in ends))
    (note,) = claim_notes([claim], [base, at(arm, "mine", *ends)])
    assert note.endswith(said)
    assert claim.where in note


def test_before_training_it_is_the_first_loss(arm) -> None:
    claim = Claim("table 0", "mine", -2.0, ("base",), before=True)
    arms = [at(arm, "base", 5.0, 5.0, start=7.0), at(arm, "mine", 6.0, 6.0, start=6.0)]
    (note,) = claim_notes([claim], arms)
    assert (
        "before training, to base: -1.000 [-1.000, -1.000]: the sign holds, 50% of the size" in note
    )


def test_seeds_are_paired_and_a_diverged_one_is_left_out(arm) -> None:
    base = at(arm, "base", 5.0, 3.0, 4.0)
    mine = at(arm, "mine", 4.9, 3.9, seeds=(1, 2, 3), diverged_seeds=(2,))
    found = paired_difference(mine, base, before=False)
    assert found is not None
    assert found.n == 2
    assert found.mean == pytest.approx(-0.1)
    assert found.low == pytest.approx(found.high)


def test_an_arm_that_is_not_raced_or_has_no_curve_says_nothing(arm, waiting) -> None:
    claim = Claim("table 0", "mine", -0.5, ("base", "other"))
    arms = [at(arm, "base", 5.0, 5.0), waiting("mine")]
    assert list(claim_notes([claim], arms)) == []
    assert len(list(claim_notes([claim], [arms[0], at(arm, "mine", 4.0, 4.1)]))) == 1


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.claims])
def test_every_published_difference_lies_in_its_own_range_and_its_arms_are_raced(name) -> None:
    preset = PRESETS[name]
    for claim in preset.claims:
        low, high = claim.claimed
        assert low < claim.difference < high
        assert {claim.arm, *claim.against} <= set(preset.arms)
        assert claim.arm not in claim.against
