"""The Makefile and the crontab of a growing graph, run as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "fixtures" / "recipes"
FAMILY = Path(__file__).parents[2] / "fixtures" / "graphs" / "family.tsv"
MORE = "gus\tmarried_to\tzoe\n"


@pytest.fixture(scope="module")
def initctl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as one file, with a network small enough for a test."""
    path = tmp_path_factory.mktemp("bin") / "initctl"
    sizes = "--width 192 --layers 2 --heads 4 --full-beyond 2"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m initctl "$@" {sizes}\n')
    path.chmod(0o755)
    return path


def growth(directory: Path) -> str:
    checks = json.loads((directory / "report.json").read_text())["checks"]
    return next(check["value"] for check in checks if check["name"] == "growth")


def test_the_crontab_s_command_goes_on_from_the_night_before(
    initctl_file: Path, tmp_path: Path
) -> None:
    lines = (RECIPES / "graph.crontab").read_text(encoding="utf-8").splitlines()
    *_, entry = lines
    assert [line.partition("=")[0] for line in lines if "=/" in line and line[0].isupper()] == [
        "SHELL",
        "INITCTL",
        "LINKS",
        "OUT",
    ]
    command = entry.split(None, 5)[5]
    assert "%" not in command  # cron ends a command there
    assert command.startswith("nice -n 19 ")
    command = command.removeprefix("nice -n 19 ")  # beside other tests it would wait for minutes
    links, out = tmp_path / "all links.tsv", tmp_path / "graph"
    places = {"INITCTL": initctl_file, "LINKS": links, "OUT": out}

    def night() -> int:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=os.environ | {name: str(path) for name, path in places.items()},
            cwd=tmp_path,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return (out / "model.safetensors").stat().st_mtime_ns

    shutil.copyfile(FAMILY, links)
    first = night()
    assert growth(out) == "full"
    assert night() == first
    links.write_text(FAMILY.read_text() + MORE)
    second = night()
    assert second > first
    assert growth(out) == "increment"
    assert night() == second


def test_make_builds_again_only_what_changed(initctl_file: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    links = tmp_path / "links.tsv"
    shutil.copyfile(FAMILY, links)

    def make() -> tuple[str, int]:
        command = ["make", "-f", str(RECIPES / "graph.mk"), f"INITCTL={initctl_file}"]
        done = subprocess.run(
            [*command, "LINKS=links.tsv"], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode, done.stderr) == (0, "")
        model = tmp_path / "build" / "graph" / "model.safetensors"
        return done.stdout, model.stat().st_mtime_ns

    output, first = make()
    assert "graph-compile" in output
    assert make() == ("make: Nothing to be done for 'all'.\n", first)
    links.write_text(FAMILY.read_text() + MORE)
    _, second = make()
    assert second > first
    assert growth(tmp_path / "build" / "graph") == "increment"
