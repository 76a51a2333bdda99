"""``race --preset graph-predictions``: what it needs, what it refuses, and its plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PRESET = ("race", "--preset", "graph-predictions")


@pytest.fixture
def given(tmp_path: Path) -> tuple[object, ...]:
    text = tmp_path / "text"
    text.write_text("a text\n")
    return ("--wordnet", tmp_path, "--debian", tmp_path, "--corpus", text, "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--config", "config.json"), 2, b"--config is not of --preset graph-predictions"),
        ((), 3, b"edges.tsv.gz: is not there"),
    ],
)
def test_what_does_not_fit_is_refused(initctl, given, tmp_path: Path, more, code, says) -> None:
    run = initctl(*PRESET, *given, *more)
    assert run.returncode == code
    assert says in run.stderr
    assert not (tmp_path / "out").exists()


def test_graphs_and_a_text_are_needed_and_are_of_this_preset_alone(
    initctl, given, tmp_path: Path
) -> None:
    run = initctl(*PRESET, *given[2:])
    assert run.returncode == 2
    assert b"Missing option '--wordnet'" in run.stderr
    run = initctl("race", *given)
    assert run.returncode == 2
    assert b"--wordnet is not of --preset standard" in run.stderr


def test_the_plan_is_the_protocol(initctl, given, tmp_path: Path) -> None:
    run = initctl(*PRESET, *given, "--steps", 7, "--rate", 0.5, "--seeds", 2, "--plan")
    assert run.returncode == 0, run.stderr
    plan = json.loads(run.stdout)
    assert (plan["steps"], plan["rates"], plan["seeds"]) == (7, [0.5], 2)
    assert not (tmp_path / "out").exists()
