"""Verdicts on a step-0 loss, and its gaps to what counting scores."""

from __future__ import annotations

import math

import pytest

from structinit_core.cooc import ReferenceLosses
from structinit_core.diagnose import Check, loss_checks

REFERENCES = ReferenceLosses(uniform=math.log(500), unigram=5.5, kn2=4.0, kn3=3.5, tokens=1000)


def named(checks: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


@pytest.mark.parametrize("references", [REFERENCES, None])
@pytest.mark.parametrize(
    ("excess", "verdict"),
    [(-3.0, "ok"), (0.0, "ok"), (0.005, "ok"), (0.02, "warn"), (7.0, "warn")],
)
def test_worse_than_the_uniform_guess_is_a_warning(
    references: ReferenceLosses | None, excess: float, verdict: str
) -> None:
    checks = named(loss_checks(math.log(500) + excess, 500, references))
    assert checks["loss.model"].verdict == verdict
    assert checks["loss.model"].threshold == pytest.approx(math.log(500))
    assert {check.verdict for name, check in checks.items() if name != "loss.model"} == {"info"}


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_finite_loss_is_never_well(loss: float) -> None:
    assert named(loss_checks(loss, 500, None))["loss.model"].verdict != "ok"


def test_gaps_lead_from_the_references_to_the_model() -> None:
    checks = named(loss_checks(4.7, 500, REFERENCES))
    values = {name: check.value for name, check in checks.items()}
    assert values["loss.model"] == 4.7
    for reference in ("unigram", "kn2"):
        gap, base = values[f"gap.{reference}"], values[f"loss.{reference}"]
        assert isinstance(gap, float)
        assert isinstance(base, float)
        assert base + gap == pytest.approx(4.7)
    assert values["gap.unigram"] < 0 < values["gap.kn2"]  # type: ignore[operator]
    assert values["loss.kn3"] == REFERENCES.kn3
    assert all(check.unit == "nats" for check in checks.values())


def test_without_references_only_the_uniform_guess_is_known() -> None:
    checks = named(loss_checks(4.7, 500, None))
    assert checks.keys() == {"loss.model", "loss.uniform"}
    assert checks["loss.uniform"].value == pytest.approx(math.log(500))
