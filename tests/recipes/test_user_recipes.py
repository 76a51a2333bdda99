"""The Makefile and the crontab that users copy, run as a user runs them."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "fixtures" / "recipes"
ASSIGNMENT = re.compile(r"([A-Z]+)=(.*)")
FIELD = re.compile(r"(\*|\d+(-\d+)?)(/\d+)?(,\d+(-\d+)?)*")


@pytest.fixture(scope="module")
def initctl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as one file, whether or not it stands in the search path."""
    path = tmp_path_factory.mktemp("bin") / "initctl"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m initctl "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def make(initctl_file: Path, book: Path, tiny_config: Path, tmp_path: Path):
    """Run make on copies of the small book and config; what it built, by modification time."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    corpus, config = tmp_path / "corpus.txt.gz", tmp_path / "config.json"
    shutil.copyfile(book, corpus)
    shutil.copyfile(tiny_config, config)
    shutil.copyfile(RECIPES / "Makefile", tmp_path / "Makefile")
    given = [f"INITCTL={initctl_file}", f"CORPUS={corpus}", f"CONFIG={config}", "VOCAB=512"]

    def run(*targets: str) -> tuple[str, dict[str, int]]:
        command = ["make", *targets, *given, "OUT=build"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        built = (path for path in (tmp_path / "build").rglob("*") if path.is_file())
        return done.stdout, {
            p.relative_to(tmp_path).as_posix(): p.stat().st_mtime_ns for p in built
        }

    return run


def touch(path: Path) -> None:
    """A later time stamp than that of any file written before, on clocks with coarse ticks too."""
    time.sleep(0.05)
    os.utime(path)


def commands(output: str) -> list[str]:
    return re.findall(r"/initctl (\S+)", output)


def test_make_builds_once_and_again_only_what_changed(make, tmp_path: Path) -> None:
    output, built = make()
    assert commands(output) == ["cooc", "closed-form", "closed-form"]
    for name in ("counts/manifest.json", "checkpoint/model.safetensors", "report.html"):
        assert f"build/{name}" in built

    again, unchanged = make()
    assert commands(again) == []
    assert unchanged == built

    corpus = tmp_path / "corpus.txt.gz"
    touch(corpus)
    touched, after_touch = make()
    assert commands(touched) == ["cooc", "closed-form", "closed-form"]
    assert {name for name in built if built[name] != after_touch[name]} == {
        "build/counts/manifest.json",
        "build/checkpoint/manifest.json",
        "build/report.html",
    }
    assert commands(make()[0]) == []

    touch(tmp_path / "config.json")
    recompiled, after_config = make("checkpoint")
    assert commands(recompiled) == ["closed-form"]
    assert {name for name in after_config if after_config[name] != after_touch[name]} == {
        "build/checkpoint/manifest.json"
    }

    text = gzip.decompress(corpus.read_bytes())
    corpus.write_bytes(gzip.compress(text[: len(text) // 2]))
    _, rebuilt = make()
    for name in ("counts/unigram.npy", "checkpoint/model.safetensors", "report.html"):
        assert rebuilt[f"build/{name}"] > after_touch[f"build/{name}"], name


def read_crontab() -> tuple[dict[str, str], list[tuple[list[str], str]]]:
    """The variables of the table, and its entries as five fields and a command."""
    variables: dict[str, str] = {}
    entries = []
    for line in (RECIPES / "crontab").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        assigned = ASSIGNMENT.fullmatch(line)
        if assigned:
            variables[assigned[1]] = assigned[2]
        else:
            *fields, command = line.split(None, 5)
            entries.append((fields, command))
    return variables, entries


def test_every_line_of_the_crontab_has_five_fields_and_a_command() -> None:
    variables, entries = read_crontab()
    assert entries
    for fields, command in entries:
        assert len(fields) == 5
        assert all(FIELD.fullmatch(field) for field in fields), fields
        assert "%" not in command  # cron ends a command there
        assert set(re.findall(r"\$\{?([A-Z]+)", command)) <= variables.keys()
    assert all(value.startswith("/") for value in variables.values())


def test_the_crontab_s_commands_succeed_silently(
    initctl_file: Path, book: Path, tiny_config: Path, counts_path: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "a corpus"
    corpus.mkdir()
    shutil.copyfile(book, corpus / "first.txt.gz")
    places = {
        "INITCTL": initctl_file,
        "CORPUS": corpus,
        "CONFIG": tiny_config,
        "TOKENIZER": counts_path / "tokenizer.json",
        "OUT": tmp_path / "nightly",
    }
    variables, entries = read_crontab()
    assert variables.keys() == {"SHELL", *places}
    environment = os.environ | {name: str(path) for name, path in places.items()}

    def night() -> int:
        for _, command in entries:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                timeout=300,
                check=False,
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return (tmp_path / "nightly" / "model.safetensors").stat().st_mtime_ns

    first = night()
    assert (tmp_path / "nightly.html").is_file()
    assert night() == first
    (corpus / "second.txt.gz").write_bytes(gzip.compress(b"One more page.\n\nAnd another.\n" * 500))
    assert night() > first
