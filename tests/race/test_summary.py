from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from scipy import stats

from structinit_core.model import Bucket, Induction
from structinit_core.race.evidence import ArmRuns
from structinit_core.race.record import Point, Probe, RunRecord
from structinit_core.race.result import ArmResult, RaceResult
from structinit_core.race.summary import summarise

BUDGET = 100
STEPS = (0, 1, 3, 10, 30, 60, 100)
FALL = (8.0, 7.9, 7.6, 7.0, 6.0, 5.0, 4.0)
RATE, WARMUP = 1e-3, 0.05


def evidence(seed: int, *, shift: float = 0.0, **changes: Any) -> RunRecord:
    """A run that falls from 8 to 4 nats, shifted."""
    losses = changes.pop("losses", [loss + shift for loss in FALL])
    steps = changes.pop("at", STEPS)
    known: dict[str, Any] = {
        "key": f"run-{seed}-{shift}",
        "source": "x",
        "purpose": "evidence",
        "learning_rate": RATE,
        "warmup": WARMUP,
        "seed": seed,
        "steps": BUDGET,
        "curve": tuple(Point(step=s, loss=v) for s, v in zip(steps, losses, strict=True)),
        "start_seconds": 10.0,
        "gradient_norms": {"embed": 1.0 + seed, "head": 2.0},
    }
    return RunRecord(**known | changes)


def trial(rate: float, loss: float | None) -> RunRecord:
    curve = () if loss is None else (Point(step=BUDGET, loss=loss),)
    diverged = 5 if loss is None else None
    return RunRecord(
        key="t", source="x", purpose="sweep", learning_rate=rate, warmup=WARMUP, seed=0,
        steps=BUDGET, curve=curve, diverged_at=diverged,
    )  # fmt: skip


def dead(seed: int) -> RunRecord:
    return evidence(seed, losses=FALL[:3], at=STEPS[:3], diverged_at=5)


def arm(name: str, runs: Sequence[RunRecord], **changes: Any) -> ArmRuns:
    known: dict[str, Any] = {
        "learning_rate": RATE,
        "warmup": WARMUP,
        "seeds": (1, 2, 3),
        "step_seconds": 0.5,
    }
    return ArmRuns(name=name, source=f"from {name}", runs=runs, **known | changes)


def race(*arms: ArmRuns, **changes: Any) -> RaceResult:
    known: dict[str, Any] = {
        "baseline": "default",
        "steps": BUDGET,
        "complete": True,
        "network": {"width": 64},
        "text": {},
        "protocol": {},
        "machine": {},
    }
    return summarise(arms, **known | changes)


def default(*, shifts: Sequence[float] = (0.0, 0.1, 0.2), **changes: Any) -> ArmRuns:
    runs = [evidence(seed, shift=shift) for seed, shift in enumerate(shifts, 1)]
    return arm("default", runs, **changes)


def second(result: RaceResult) -> ArmResult:
    return result.arms[1]


def test_the_whole_of_a_finished_race() -> None:
    # Half a nat lower at every step, a little more or less by seed.
    shifts = (-0.5, -0.35, -0.32)
    ours = [evidence(seed, shift=s, start_seconds=14.0) for seed, s in enumerate(shifts, 1)]
    result = race(default(), arm("ours", [*reversed(ours), trial(2e-3, None), trial(1e-3, 4.5)]))
    base, mine = result.arms
    assert [a.name for a in result.arms] == ["default", "ours"]
    assert mine.status == base.status == "finished"
    assert mine.seeds == (1, 2, 3)
    assert [(t.learning_rate, t.loss) for t in mine.sweep] == [(1e-3, 4.5), (2e-3, None)]

    assert [t.name for t in result.targets] == [
        "default at 10 %",
        "default at 30 %",
        "default at 60 %",
        "default at the end",
    ]
    assert [t.loss for t in result.targets] == pytest.approx([7.1, 6.1, 5.1, 4.1])

    interval = stats.ttest_rel(shifts, (0.0, 0.1, 0.2)).confidence_interval(0.95)
    assert mine.final_difference is not None
    assert mine.final_difference.low == pytest.approx(interval.low)
    assert mine.final_difference.high == pytest.approx(interval.high)
    assert base.final_difference is base.seconds_saved is None

    # 0.025 nats a step at the end, so a lead of x nats is x / 0.025 steps of 0.5 s, less 4 s.
    saved = [(0.5 / 0.025) * 0.5 - 4, (0.45 / 0.025) * 0.5 - 4, (0.52 / 0.025) * 0.5 - 4]
    known = stats.ttest_1samp(saved, 0).confidence_interval(0.95)
    assert mine.seconds_saved is not None
    assert mine.seconds_saved.mean == pytest.approx(sum(saved) / 3)
    assert mine.seconds_saved.low == pytest.approx(known.low)
    assert "below default" in mine.verdict
    assert "5.80 s sooner" in mine.verdict
    assert "default itself takes 60 s" in mine.verdict

    assert [m.step for m in mine.milestones] == [1, 3, 10, 30, 100]
    assert all(m.difference is not None and m.difference.n == 3 for m in mine.milestones)
    assert all(m.difference is None for m in base.milestones)
    assert mine.gradient_norms == {"embed": 3.0, "head": 2.0}
    assert mine.start_seconds == 14
    assert RaceResult.model_validate(json.loads(result.model_dump_json(by_alias=True))) == result


def test_equal_arms_differ_in_nothing() -> None:
    mine = second(race(default(), arm("copy", default().runs)))
    for found in (mine.final_difference, mine.seconds_saved):
        assert found is not None
        assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert mine.crossover_step is None
    assert "below" not in mine.verdict
    assert "sooner" not in mine.verdict


def test_arrivals_count_only_runs_that_got_there() -> None:
    runs = [evidence(1, losses=[4.0] * 7), evidence(2, shift=0.1), evidence(3, shift=3.0)]
    result = race(default(), arm("ours", runs))
    ten, *_, end = second(result).arrivals
    assert (ten.reached, ten.seeds) == (3, 3)
    assert ten.steps is not None
    # Seed 1 is there at step 0; seed 2 at 10; seed 3 falls from 8 to 7 in steps 60 to 100.
    assert ten.steps.mean == pytest.approx((0 + 10 + (60 + 40 * 0.9)) / 3)
    assert ten.seconds is not None
    assert ten.seconds.mean == pytest.approx(10 + ten.steps.mean / 2)
    assert (end.reached, end.seeds) == (2, 3)
    assert second(result).seconds_saved is None
    assert "in 1 of 3 seeds, so it is not called faster" in second(result).verdict


def test_nothing_reached_and_no_timing() -> None:
    runs = [evidence(seed, losses=[9.0] * 7) for seed in (1, 2, 3)]
    mine = second(race(default(), arm("stuck", runs, step_seconds=None)))
    assert all((a.reached, a.steps, a.seconds) == (0, None, None) for a in mine.arrivals)
    assert mine.seconds_saved is None
    untimed = second(race(default(step_seconds=None), arm("ours", default().runs)))
    assert untimed.seconds_saved is None
    quiet = race(default(), arm("ours", default().runs, step_seconds=None))
    assert second(quiet).arrivals[0].steps is not None
    assert second(quiet).arrivals[0].seconds is None


def test_missing_seeds_leave_an_arm_unfinished() -> None:
    mine = second(race(default(), arm("ours", [evidence(2, shift=-0.5)])))
    assert mine.status == "unfinished"
    assert mine.verdict == "Unfinished: 1 of 3 seeds."
    assert mine.final_difference is not None
    assert mine.final_difference.mean == pytest.approx(-0.6)  # with seed 2 of the baseline
    assert mine.final_difference.low is None


@pytest.mark.parametrize(
    "stray",
    [
        {"learning_rate": 2e-3},
        {"warmup": 0.1},
        {"steps": 50},
        {"purpose": "sweep"},
        {"at": STEPS[:3], "losses": FALL[:3]},  # cut off, yet not diverged
        {"curve": ()},
    ],
)
def test_other_runs_are_no_evidence(stray: dict[str, Any]) -> None:
    mine = second(race(default(), arm("ours", [evidence(1, **stray), evidence(9)])))
    assert (mine.status, mine.seeds, mine.curve) == ("unfinished", (), None)


def test_one_planned_seed_is_finished_without_a_verdict() -> None:
    alone = default(shifts=(0.0,), seeds=(1,))
    mine = second(race(alone, arm("ours", [evidence(1, shift=-0.5)], seeds=(1,))))
    assert mine.status == "finished"
    assert mine.curve is not None
    assert mine.curve.low is mine.curve.high is None
    assert mine.verdict.startswith("One seed: −0.50 nats relative to default")


def test_a_diverged_seed_is_left_out_but_not_forgotten() -> None:
    runs = [evidence(1, shift=-0.5), dead(2), evidence(3, shift=-0.4)]
    result = race(default(), arm("ours", runs))
    mine = second(result)
    assert (mine.status, mine.seeds, mine.diverged_seeds) == ("finished", (1, 2, 3), (2,))
    assert mine.curve is not None
    assert len(mine.curve.runs) == 2
    assert mine.curve.mean[-1] == pytest.approx(3.55)
    assert mine.final_difference is not None
    assert mine.final_difference.n == 2
    assert mine.gradient_norms["embed"] == 3.0
    assert (mine.arrivals[0].reached, mine.arrivals[0].seeds) == (2, 3)
    # Two of three got there: sparing the third would reward diverging.
    assert mine.seconds_saved is None
    assert mine.verdict.endswith("Seed 2 diverged and is left out.")


def test_diverged_everywhere() -> None:
    swept = [trial(5e-4, None), trial(8e-3, None)]
    lost = arm("swept", swept, learning_rate=None, warmup=None)
    burnt = arm("burnt", [dead(1), dead(2), dead(3)])
    _, one, two = race(default(), lost, burnt).arms
    assert one.verdict == "Diverged at every learning rate tried (5e-4 … 8e-3)."
    assert two.verdict == "Diverged in all 3 seeds at learning rate 1e-3."
    assert one.status == two.status == "diverged"
    assert two.curve is None
    assert two.final_difference is None
    assert (two.arrivals[0].reached, two.arrivals[0].seeds) == (0, 3)
    going = arm("going", [trial(5e-4, 4.0), trial(8e-3, None)], learning_rate=None, warmup=None)
    assert second(race(default(), going)).status == "unfinished"
    assert second(race(default(), arm("new", []))).status == "unfinished"


@pytest.mark.parametrize("runs", [[], [dead(1), dead(2), dead(3)], [evidence(4)]])
def test_no_baseline_no_comparison(runs: list[RunRecord]) -> None:
    result = race(arm("default", runs), arm("ours", default().runs))
    assert result.targets == ()
    mine = second(result)
    assert mine.status == "finished"
    assert mine.arrivals == ()
    assert mine.final_difference is mine.seconds_saved is None
    assert mine.crossover_step is None
    assert mine.verdict == "Nothing to compare with: default has no evidence at the same seeds."


def test_a_baseline_that_rises_again_is_timed_by_when_it_was_there() -> None:
    overfitted = [8.0, 7.9, 7.6, 7.0, 4.0, 3.8, 4.0]
    runs = [evidence(seed, losses=overfitted) for seed in (1, 2, 3)]
    saved = second(race(arm("default", runs), arm("twin", runs))).seconds_saved
    assert saved is not None
    assert (saved.mean, saved.low, saved.high) == (0, 0, 0)


def test_an_unknown_cost_gives_no_seconds() -> None:
    unknown = [evidence(seed, start_seconds=None, shift=-1.0) for seed in (1, 2, 3)]
    mine = second(race(default(), arm("given", unknown)))
    assert mine.start_seconds is mine.seconds_saved is None
    assert all(arrival.seconds is None for arrival in mine.arrivals)
    assert mine.arrivals[0].steps is not None
    assert "sooner" not in mine.verdict


def test_layers_stand_in_the_order_of_the_network() -> None:
    norms = {"embed": 1.0, "head": 2.0, "layer 0": 3.0, "layer 10": 4.0, "layer 2": 5.0}
    runs = [evidence(seed, gradient_norms=norms) for seed in (1, 2, 3)]
    found = race(arm("default", runs)).arms[0].gradient_norms
    assert list(found) == ["embed", "layer 0", "layer 2", "layer 10", "head"]


def test_names_must_be_unique_and_hold_the_baseline() -> None:
    for arms in ([arm("ours", [])], [default(), default()]):
        with pytest.raises(ValueError, match="unique names"):
            race(*arms)


def test_equal_targets_are_named_once() -> None:
    flat = [evidence(seed, losses=[8, 7, 6, 5, 4, 4, 4]) for seed in (1, 2, 3)]
    targets = race(arm("default", flat)).targets
    assert [t.name for t in targets] == ["default at 10 %", "default at the end"]


def test_curves_with_other_steps_meet_where_both_were_measured() -> None:
    at = (0, 1, 3, 10, 20, 30, 60, 100)
    losses = [7.5, 7.4, 7.1, 6.5, 6.0, 5.5, 5.0, 4.3]
    runs = [evidence(seed, at=at, losses=losses) for seed in (1, 2, 3)]
    mine = second(race(default(shifts=(0.0, 0.01, 0.02)), arm("ours", runs)))
    assert mine.curve is not None
    assert mine.curve.steps == at
    # Ahead at 30, level within noise at 60 (5.0 against 5.01), behind at the end.
    assert mine.crossover_step == 100
    assert mine.verdict.endswith("Led until step 100, then lost the lead.")


def test_a_lead_by_noise_is_not_in_the_verdict() -> None:
    wiggle = {1: -0.3, 2: 0.1, 3: 0.1}
    runs = []
    for seed, noise in wiggle.items():
        losses = list(FALL)
        losses[3] += noise
        losses[-1] += 0.1 + seed / 100
        runs.append(evidence(seed, losses=losses))
    mine = second(race(default(shifts=(0.0, 0.0, 0.0)), arm("ours", runs)))
    assert mine.crossover_step == 30
    assert "Led" not in mine.verdict
    assert "above default" in mine.verdict


def test_probes_are_averaged_over_seeds() -> None:
    def probe(loss: float) -> Probe:
        bucket = Bucket(low=0, high=None, tokens=5, loss=loss)
        return Probe(buckets=(bucket,), induction=Induction(first=loss, second=loss / 2))

    runs = [evidence(s, start=probe(8.0 + s), end=probe(4.0 + s)) for s in (1, 2, 3)]
    (base,) = race(arm("default", runs)).arms
    assert [(b.start.loss, b.end.loss, b.end.tokens) for b in base.buckets] == [(10.0, 6.0, 5)]
    assert base.induction_start == Induction(first=10.0, second=5.0)
    assert base.induction_end == Induction(first=6.0, second=3.0)


def test_the_order_of_records_does_not_matter() -> None:
    runs = [evidence(1), evidence(2, shift=0.3), dead(3), trial(1e-3, 4.0), trial(5e-4, None)]
    forth, back = race(default(), arm("a", runs)), race(default(), arm("a", runs[::-1]))
    assert forth == back
