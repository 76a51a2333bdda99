from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def base(tiny_config: Path, counts_path: Path, book: Path, tmp_path: Path) -> tuple[object, ...]:
    given = ("--counts", counts_path, "--corpus", book, "-o", tmp_path / "out")
    return ("dpi-init", "--config", tiny_config, *given)


def test_publishes_once_and_prints_the_path(initctl, base, tmp_path: Path) -> None:
    first = initctl(*base, "--variant", "v14.1", "--no-calibration", "--zipf-warp", 1.2)
    assert (first.returncode, first.stdout.decode().strip()) == (0, str(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    settings = manifest["recipe"]["params"]["settings"]
    assert (settings["calibration"], settings["zipf_warp"]) == (False, 1.2)
    assert settings["gamma0"] == 0.25
    again = initctl(*base, "--variant", "v14.1", "--no-calibration", "--zipf-warp", 1.2, "--json")
    shown = json.loads(again.stdout)
    assert shown["up_to_date"]
    names = {check["name"] for check in shown["report"]["checks"]}
    assert {"loss.model", "gradient.norm", "orthogonality_error", "variance_after"} <= names


def test_the_plan_of_eight_billion_parameters(initctl, base, tmp_path: Path) -> None:
    arguments = ["dpi-8b" if part == base[2] else part for part in base]
    run = initctl(*arguments, "--plan", "--dtype", "bfloat16", "--orthogonal", "fast")
    plan = json.loads(run.stdout)
    assert run.returncode == 0
    assert plan["parameters"] > 8_187_944_960
    assert plan["checkpoint_bytes"] == 2 * plan["parameters"]
    assert plan["memory_bytes"] < 8 << 30
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("--offsets", 3), 2, "--offsets is of counting"),
        (("--variant", "pid8", "--align-peak", 0.3), 2, "align_peak changes nothing"),
        (("--gamma0", 99), 2, "gamma0 must lie"),
        (("--memory", "64M"), 6, "raise --memory"),
        (("--device", "tpu"), 2, "tpu"),
    ],
)
def test_what_cannot_be_is_one_line(initctl, base, options, code: int, complaint: str) -> None:
    run = initctl(*base, *options)
    assert run.returncode == code
    (line,) = run.stderr.decode().splitlines()
    assert complaint in line
