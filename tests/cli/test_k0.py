"""``initctl k0`` and its race preset as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_it_publishes_and_is_then_up_to_date(initctl, counts_path: Path, tmp_path: Path) -> None:
    arguments = ("k0", counts_path, "--dim", 8, "--spectral-power", 0, "-o", tmp_path / "out")
    run = initctl(*arguments)
    assert (run.returncode, run.stdout.decode(), run.stderr) == (0, f"{tmp_path / 'out'}\n", b"")
    again = json.loads(initctl(*arguments, "--json").stdout)
    assert again["up_to_date"]
    assert {"spectral_power", "energy_share"} <= {c["name"] for c in again["report"]["checks"]}


def test_the_checkpoint_races(
    initctl, counts_path: Path, make_config, book: Path, tmp_path: Path
) -> None:
    config = make_config(tie_word_embeddings=True)
    made = initctl("k0", counts_path, "--init", config, "-o", tmp_path / "k0")
    assert made.returncode == 0, made.stderr
    base = ("race", "--config", config, "--corpus", book, "--valid", book, "--preset", "smoke")
    run = initctl(
        *(*base, "--steps", 2, "--seeds", 1, "--rate", 1e-3, "--eval-tokens", 500),
        *("--tokenizer", counts_path / "tokenizer.json", "--arm", "default"),
        *("--arm", f"k0={tmp_path / 'k0'}", "-o", tmp_path / "race", "--json"),
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)["report"]
    assert [arm["status"] for arm in report["arms"]] == ["finished", "finished"]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--epsilon", "0.01"], 2, "--epsilon is not of --method power"),
        (["--method", "fft", "--spectral-power", "1"], 2, "is not of --method fft"),
        (["--window", "6"], 4, "count again with --offsets 6"),
        (["--init", "nowhere.json"], 3, "nowhere.json: cannot be read"),
    ],
)
def test_bad_options(initctl, counts_path: Path, tmp_path: Path, options, code: int, says) -> None:
    run = initctl("k0", counts_path, *options, "-o", tmp_path / "out", cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert says in " ".join(run.stderr.decode().split())
    assert not (tmp_path / "out").exists()


def test_the_plan_writes_nothing(initctl, counts_path: Path, tmp_path: Path) -> None:
    run = initctl("k0", counts_path, "--method", "derive", "-o", tmp_path / "out", "--plan")
    assert json.loads(run.stdout)["fits"]
    assert list(tmp_path.iterdir()) == []


def test_the_preset_brings_its_own_network(initctl, make_config, tmp_path: Path) -> None:
    base = ("race", "--preset", "k0-table4", "-o", tmp_path / "out")
    refused = initctl(*base, "--config", make_config())
    assert (refused.returncode, b"--config is not of --preset k0-table4" in refused.stderr) == (
        2,
        True,
    )
    run = initctl(*base, "--steps", 4, "--seeds", 2, "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)["report"]
    assert report["schema"] == "structinit/k0-table4/1"
    assert json.loads(initctl(*base, "--steps", 4, "--seeds", 2, "--json").stdout)["up_to_date"]


def test_other_presets_need_a_network_and_text(initctl, tmp_path: Path) -> None:
    run = initctl("race", "-o", tmp_path / "out")
    assert run.returncode == 2
    assert b"Missing option '--corpus'" in run.stderr
