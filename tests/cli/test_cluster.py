"""``cooc --cluster`` as a shell sees it: the same artifact, and every way it can end."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COUNT = ("cooc", "text.txt", "--documents", "line", "--offsets", 2)


@pytest.fixture(scope="module")
def place(book: Path, counts_path: Path, tmp_path_factory) -> Path:
    """A directory with a text and a tokenizer."""
    place = tmp_path_factory.mktemp("cluster")
    (place / "text.txt").write_bytes(gzip.decompress(book.read_bytes())[:20_000])
    (place / "t.json").write_bytes((counts_path / "tokenizer.json").read_bytes())
    return place


def test_the_count_of_local_workers_is_that_of_one_process(initctl, place: Path) -> None:
    train = (*COUNT, "--train-tokenizer", 300)
    run = initctl(*train, "--cluster", "local:2", "-o", "out", cwd=place)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"out\n", b"")
    again = initctl(*train, "-o", "out", "--json", cwd=place)
    assert json.loads(again.stdout)["up_to_date"] is True
    assert initctl(*train, "-o", "whole", cwd=place).returncode == 0
    files = {path.name for path in (place / "whole").iterdir()} - {"run.json"}
    assert {path.name for path in (place / "out").iterdir()} - {"run.json"} == files
    for name in files:
        assert (place / "out" / name).read_bytes() == (place / "whole" / name).read_bytes(), name
    seconds = json.loads((place / "out" / "run.json").read_text())["seconds"]
    assert {"counting shards", "merging"} <= seconds.keys()


def test_an_error_of_a_worker_is_one_line(initctl, place: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"fine\ncaf\xe9\n")
    command = ("cooc", tmp_path / "bad.txt", "--tokenizer", "t.json", "-o", tmp_path / "out")
    apart, alone = (initctl(*command, *more, cwd=place) for more in (("--cluster", "local:2"), ()))
    assert (apart.returncode, apart.stdout, apart.stderr) == (3, b"", alone.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "bad.txt"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([*COUNT, "--tokenizer", "t.json", "--shard", "0/2"], 2, "--shard is one share"),
        ([*COUNT, "--tokenizer", "t.json", "--tokens", "ids"], 2, "--tokens keeps one stream"),
        (["cooc", "--merge", "a", "b"], 2, "--cluster is of counting"),
        ([*COUNT], 2, "give either a tokenizer"),
    ],
)
def test_what_does_not_go_with_a_cluster(
    initctl, place: Path, tmp_path: Path, arguments, code: int, says: str
) -> None:
    run = initctl(*arguments, "--cluster", "local:1", "-o", tmp_path / "out", cwd=place)
    assert (run.returncode, run.stdout) == (code, b"")
    assert says in run.stderr.decode()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [("--tokenizer", "t.json"), ("--train-tokenizer", "300")])
def test_the_plan_is_that_of_one_machine(initctl, place: Path, more: tuple[str, str]) -> None:
    count = (*COUNT, *more, "--min-count", "2", "-o", "planned", "--plan")
    alone, together = (
        json.loads(initctl(*count, *cluster, cwd=place).stdout)
        for cluster in ((), ("--cluster", "local:3"))
    )
    for name in ("text_bytes", "estimated_tokens", "disk_bytes", "scratch_bytes"):
        assert alone[name] == together[name]
    assert not (place / "planned").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_the_workers_and_leave_nothing(
    place: Path, book: Path, tmp_path: Path, number: int, code: int
) -> None:
    command = ("cooc", *[book] * 40, "--tokenizer", place / "t.json", "--cluster", "local:2")
    process = subprocess.Popen(
        [sys.executable, "-m", "initctl", *map(str, command), "-o", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.tmp-*/parts/*/.counts.tmp-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal does
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
    # a process lets go of its pipes and of its files one by one
    while files_open_in(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def files_open_in(path: Path) -> list[str]:
    """Open files of any process that lie in ``path``."""
    found = []
    for links in Path("/proc").glob("[0-9]*/fd"):
        try:
            found += [str(link) for link in links.iterdir() if str(path) in str(link.readlink())]
        except OSError:
            continue
    return found
