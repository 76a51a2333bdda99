from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from structinit_core.errors import UsageError
from structinit_core.race.arms import parse_arms
from structinit_core.race.protocol import RaceJob, RaceProtocol
from structinit_core.race.result import MILESTONES, TARGETS

ARMS = parse_arms(["default", "gpt2"])


def job(**changed: object) -> RaceJob:
    given = {"config": Path("c"), "corpus": [Path("t")], "valid": [Path("v")], "arms": ARMS}
    given["train_vocabulary"] = 300
    return RaceJob(**(given | changed))  # type: ignore[arg-type]


@given(st.integers(1, 200_000))
def test_the_loss_is_measured_at_both_ends_and_at_every_share(steps: int) -> None:
    at = RaceProtocol(steps=steps).evaluated_steps()
    assert at[0] == 0
    assert at[-1] == steps
    assert list(at) == sorted(set(at))
    assert {round(share * steps) for share in (*MILESTONES, *TARGETS)} <= set(at)
    assert len(at) < 60


def test_the_first_steps_are_measured_densely() -> None:
    at = RaceProtocol(steps=1000).evaluated_steps()
    assert {1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100} <= set(at)


def test_the_sweep_has_a_seed_of_its_own() -> None:
    protocol = RaceProtocol(seed=7, seeds=3)
    assert protocol.evidence_seeds == (8, 9, 10)


@pytest.mark.parametrize(
    "field", [{"steps": 0}, {"warmup": 1.0}, {"seeds": 0}, {"batch_tokens": 0}, {"stepps": 3}]
)
def test_impossible_protocols(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RaceProtocol.model_validate(field)


@pytest.mark.parametrize("rates", [(), (0.0,), (-1e-3,), (1e-3, 1e-3), (float("nan"),), (1e3,)])
def test_impossible_rates(rates: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="learning rates"):
        job(protocol=RaceProtocol(rates=rates))


def test_the_first_arm_is_the_baseline_unless_another_is_named() -> None:
    assert job().compared_with == "default"
    assert job(baseline="gpt2").compared_with == "gpt2"
    with pytest.raises(UsageError, match="is no arm"):
        job(baseline="xavier")


def test_one_tokenizer_not_two() -> None:
    for wrong in ({"train_vocabulary": None}, {"tokenizer": Path("t.json")}):
        with pytest.raises(UsageError, match="tokenizer"):
            job(**wrong)


@pytest.mark.parametrize("missing", ["arms", "corpus", "valid"])
def test_nothing_to_race(missing: str) -> None:
    with pytest.raises(UsageError):
        job(**{missing: ()})
