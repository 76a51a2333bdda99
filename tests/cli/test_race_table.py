"""The table of a race: every arm and number, on wide and on narrow terminals."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from initctl.race_table import show_race
from structinit_core.race.record import RunRecord
from structinit_core.race.result import RaceResult, References
from structinit_core.race.summary import ArmRuns, summarise

STEPS = (0, 1, 3, 10, 30, 100)
REFERENCES = References(uniform=6.2, unigram=5.5, kn2=4.6, kn3=4.5, tokens=4096)


def runs(name: str, losses: tuple[float, ...], diverged: bool = False, **changes: Any) -> ArmRuns:
    """Three seeds whose curves lie a little apart."""

    def record(seed: int, purpose: str) -> RunRecord:
        curve = [
            {"step": step, "loss": loss + seed * 0.01 * (1 + len(name) % 3 * 0.1)}
            for step, loss in zip(STEPS, losses, strict=True)
        ]
        return RunRecord.model_validate(
            {
                "key": f"{name}-{seed}-{purpose}",
                "source": name,
                "purpose": purpose,
                "learning_rate": 2e-3,
                "warmup": 0.05,
                "seed": seed,
                "steps": 100,
                "curve": [] if diverged else curve,
                "diverged_at": 7 if diverged else None,
                "start_seconds": 1.5,
            }
        )

    found = [record(0, "sweep"), *(record(seed, "evidence") for seed in (1, 2, 3))]
    given = {"learning_rate": 2e-3, "warmup": 0.05, "seeds": (1, 2, 3), "step_seconds": 0.1}
    return ArmRuns(name=name, source=name, runs=found, **(given | changes))


def race(*arms: ArmRuns, **changes: Any) -> RaceResult:
    nothing: dict[str, Any] = {key: {} for key in ("network", "text", "protocol", "machine")}
    given = {"baseline": arms[0].name, "steps": 100, "complete": True, "references": REFERENCES}
    return summarise(arms, **(nothing | given | changes))


def shown(result: RaceResult, width: int = 200) -> str:
    out = io.StringIO()
    show_race(Console(file=out, width=width, highlight=False, color_system=None), result)
    return out.getvalue()


@pytest.fixture
def result() -> RaceResult:
    slow, fast = (6.2, 6.0, 5.8, 5.5, 5.2, 4.9), (5.0, 4.95, 4.9, 4.8, 4.75, 4.7)
    return race(
        runs("default", slow),
        runs("closed-form", fast),
        runs("dead", slow, diverged=True),
        notes=("a remark",),
    )


def test_every_arm_number_verdict_and_reference(result: RaceResult) -> None:
    text = shown(result)
    for arm in result.arms:
        assert f"- {arm.name}: {arm.verdict}" in text
    for said in ("rate", "step 0", "1 %", "30 %", "100 %", "Δ end", "saved", "status", "0.002"):
        assert said in text
    for said in ("6.222", "5.024", "finished", "diverged", "KN-3 4.500", "4,096", "- a remark"):
        assert said in text
    difference = result.arms[1].final_difference
    assert difference is not None
    assert f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]" in text
    assert "not complete" not in text


def test_the_seconds_to_the_end_of_the_baseline(result: RaceResult) -> None:
    end = result.targets[-1]
    arrival = next(one for one in result.arms[1].arrivals if one.target == end.name)
    assert arrival.seconds is not None
    (row,) = (line for line in shown(result).splitlines() if line.startswith(" closed-form"))
    assert f"{arrival.seconds.mean:.2f}" in row or f"{arrival.seconds.mean:.1f}" in row


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_narrow_terminals_get_more_tables_and_whole_numbers(result: RaceResult, width: int) -> None:
    text = shown(result, width)
    table = text.partition("\n- ")[0].splitlines()
    assert all(len(line) <= width for line in table)
    for said in ("6.222", "5.024", "4.724", "0.002", "finished", "closed-form"):
        assert any(said in line for line in table), said
    headings = [line for line in table if line.startswith(" arm")]
    assert (len(headings) > 1) == (width < 200)


def test_an_incomplete_race_says_so() -> None:
    curve = (6.2, 6.0, 5.8, 5.5, 5.2, 4.9)
    waiting = ArmRuns("waiting", "waiting", (), None, None, (1, 2, 3), None)
    text = shown(race(waiting, runs("other", curve), complete=False, references=None))
    assert text.startswith("not complete")
    assert "unfinished" in text
    assert "counting scores" not in text


def test_hostile_names_are_text() -> None:
    evil = "[red]x[/red]\x1b[2J[/]\\"
    curve = (6.2, 6.0, 5.8, 5.5, 5.2, 4.9)
    text = shown(race(runs(evil, curve), runs("$", curve), notes=(evil,)))
    assert "\x1b" not in text
    assert "[red]x[/red]\\x1b[2J[/]\\" in text
    assert shown(race(runs("x" * 300, curve)), 60).count("x") >= 300
