"""``initctl race`` as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from structinit_core.race.arms import METHODS
from structinit_core.race.presets import PRESETS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d64-l2.json"
SMOKE = (
    *("race", "--preset", "smoke", "--config", CONFIG),
    *("--corpus", ROOT / "fixtures/corpora/frankenstein.txt.gz"),
    *("--valid", ROOT / "fixtures/corpora/a-study-in-scarlet.txt.gz"),
    *("--train-tokenizer", 512),
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("texts")
    lines = [f"line {i} of {i % 7} words and {i % 13} more" for i in range(900)]
    train, valid = directory / "train.txt", directory / "valid.txt"
    train.write_text("\n\n".join(lines), encoding="utf-8")
    held_out = [f"more words of line {i} and {i % 5} of them" for i in range(60)]
    valid.write_text("\n\n".join(held_out), encoding="utf-8")
    return train, valid


def small(texts: tuple[Path, Path]) -> tuple[object, ...]:
    return (
        *("race", "--config", CONFIG, "--corpus", texts[0], "--valid", texts[1]),
        *("--train-tokenizer", 300, "--steps", 6, "--batch-tokens", 128, "--eval-tokens", 512),
        *("--rate", 2e-3, "--seeds", 2),
    )


def test_the_smoke_preset(initctl, tmp_path: Path) -> None:
    done = initctl(*SMOKE, "-o", tmp_path / "race", "--json")
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    report = said["report"]
    assert said["output"] == str(tmp_path / "race")
    assert said["up_to_date"] is False
    assert report["schema"] == "structinit/race/1"
    assert report["complete"] is True
    default, compiled = report["arms"]
    assert (default["name"], compiled["name"]) == ("default", "closed-form")
    assert compiled["milestones"][-1]["loss"]["mean"] < default["milestones"][-1]["loss"]["mean"]
    assert len(report["targets"]) >= 4
    assert (tmp_path / "race" / "race.html").stat().st_size > 5000
    assert (tmp_path / "race" / "loss-steps.png").read_bytes()[:4] == b"\x89PNG"
    again = initctl(*SMOKE, "-o", tmp_path / "race", "--json")
    assert json.loads(again.stdout) == said | {"up_to_date": True}


def test_the_path_is_the_only_line_on_stdout(initctl, texts, tmp_path: Path) -> None:
    done = initctl(*small(texts), "--arm", "default", "-o", tmp_path / "r")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/r\n".encode(), b"")


def test_a_plan_writes_nothing(initctl, texts, tmp_path: Path) -> None:
    done = initctl(*small(texts), "-o", tmp_path / "race", "--plan")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert plan["runs"] == 3 * (2 + 2)
    assert plan["seconds"] > 0
    assert plan["memory_bytes"] > 4 * plan["parameters"]
    assert list(tmp_path.iterdir()) == []


def test_a_killed_race_goes_on(initctl, texts, tmp_path: Path) -> None:
    arguments = [str(part) for part in (*small(texts), "--arm", "default", "-o", tmp_path / "r")]
    command = [sys.executable, "-m", "initctl", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ.copy()) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "r").glob("runs/*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    kept = len(list((tmp_path / "r").glob("runs/*.json")))
    assert kept >= 1
    done = initctl(*arguments)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads((tmp_path / "r" / "race.json").read_text())
    assert report["complete"] is True
    assert not list((tmp_path / "r").glob(".start-*"))


def test_a_terminated_race_leaves_a_result(texts, tmp_path: Path) -> None:
    arguments = [str(part) for part in (*small(texts), "--arm", "default", "-o", tmp_path / "r")]
    command = [sys.executable, "-m", "initctl", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "r").glob("runs/*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 143
    assert json.loads((tmp_path / "r" / "race.json").read_text())["complete"] is False


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        (("--arm", "nothing"), 2, "methods are"),
        (("--arm", "a=default", "--arm", "a=gpt2"), 2, "two arms"),
        (("--baseline", "x"), 2, "is no arm"),
        (("--rate", "-1"), 2, "learning rates"),
        (("--seeds", "5000"), 2, "1000"),
        (("--arm", "x="), 2, "methods are"),
        (("--corpus", "-", "--valid", "-"), 2, "stdin can be read once"),
        (("--batch-tokens", "100000000"), 6, "--batch-tokens"),
        (("--tokenizer", "t.json"), 2, "tokenizer"),
        (("--budget-seconds", "0.001"), 6, "run the same command again"),
    ],
)
def test_failures(initctl, texts, tmp_path: Path, changed, code: int, said: str) -> None:
    done = initctl(*small(texts), *changed, "-o", tmp_path / "race")
    assert done.returncode == code
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert said in lines[-1]
    if code != 2:
        assert lines[0].startswith("initctl: error: ")
        assert len(lines) == 1


def test_the_help_names_every_method_and_preset(initctl) -> None:
    folded = initctl("race", "--help").stdout.decode()
    help_text = " ".join(re.sub(r"-\n\s+", "-", folded).split())
    named = re.search(r"Methods: ([a-z0-9., -]+)\.", help_text)
    assert named
    assert sorted(named[1].split(", ")) == sorted(METHODS)
    assert all(f"{name}" in help_text for name in PRESETS)


def test_a_preset_of_seed_001_brings_its_network_and_tokenizer(
    initctl, texts: tuple[Path, Path], tmp_path: Path
) -> None:
    given = ("race", "--preset", "dpi-ablation", "--corpus", texts[0], "--valid", texts[1])
    done = initctl(*given, "--plan", "-o", tmp_path / "race")
    assert done.returncode == 0, done.stderr.decode()
    plan = json.loads(done.stdout)
    # the published network's parameters, and GPT-2's positions and biases
    assert 5_361_792 < plan["parameters"] < 5_361_792 + 128 * 192 + 5 * 10 * 192
    assert plan["arms"] == 5
