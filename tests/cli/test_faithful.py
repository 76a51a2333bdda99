"""``--faithful`` with and without a version, wherever it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FAMILY = Path(__file__).parents[2] / "fixtures/graphs/family.tsv"


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (["--faithful", FAMILY], "v3"),
        ([FAMILY, "--faithful", "v1"], "v1"),
    ],
)
def test_the_version_may_be_left_out(initctl, tmp_path: Path, options, version: str) -> None:
    out = tmp_path / "out"
    run = initctl("graph-compile", "-o", out, "--layers", 1, "--json", *options)
    assert run.returncode == 0, run.stderr
    checks = json.loads(run.stdout)["report"]["checks"]
    assert {check["name"]: check["value"] for check in checks}["version"] == version


def test_an_unknown_version_is_refused(initctl, tmp_path: Path) -> None:
    run = initctl("graph-compile", FAMILY, "-o", tmp_path / "out", "--faithful=v5")
    assert run.returncode == 2
    assert "v5" in run.stderr.decode()
