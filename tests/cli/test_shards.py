"""Counting on several machines as a shell sees it: shares, their sum, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def place(initctl, book: Path, counts_path: Path, tmp_path_factory) -> Path:
    """A directory with a text, a tokenizer and the counts of both shards."""
    place = tmp_path_factory.mktemp("shards")
    (place / "text.txt").write_bytes(gzip.decompress(book.read_bytes())[:20_000])
    (place / "t.json").write_bytes((counts_path / "tokenizer.json").read_bytes())
    for shard in (0, 1):
        run = initctl(*SHARE, "--shard", f"{shard}/2", "-o", f"part{shard}", cwd=place)
        assert (run.returncode, run.stdout, run.stderr) == (0, b"part%d\n" % shard, b"")
    return place


SHARE = ("cooc", "text.txt", "--tokenizer", "t.json", "--documents", "line", "--offsets", 2)


def test_the_sum_is_the_count_of_one_machine(initctl, place: Path) -> None:
    run = initctl("cooc", "--merge", "part0", "part1", "-o", "sum", cwd=place)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"sum\n", b"")
    assert initctl(*SHARE, "-o", "whole", cwd=place).returncode == 0
    for name in ("offset2.data.npy", "trigram.keys.npy", "heldout.tokens.npy", "counts.json"):
        assert (place / "sum" / name).read_bytes() == (place / "whole" / name).read_bytes()
    again = initctl("cooc", "part1", "part0", "--merge", "-o", "sum", "--json", cwd=place)
    assert json.loads(again.stdout)["up_to_date"] is True


def test_plans(initctl, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge = initctl("cooc", "--merge", "part0", "part1", "-o", out, "--plan", cwd=place)
    facts = [json.loads((place / f"part{i}" / "counts.json").read_text()) for i in (0, 1)]
    forecast = json.loads(merge.stdout)
    assert forecast["counted_tokens"] == sum(each["counted_tokens"] for each in facts)
    whole, half = (
        json.loads(initctl(*SHARE, *more, "-o", out, "--plan", cwd=place).stdout)
        for more in ((), ("--shard", "0/2"))
    )
    assert half["text_bytes"] == whole["text_bytes"]
    assert half["estimated_tokens"] == whole["estimated_tokens"] // 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([*SHARE, "--shard", "0/2", "--min-count", "2"], 2, "give --min-count to the merge"),
        ([*SHARE, "--shard", "2/2"], 2, "shard 2/2 does not exist; shards are I/N"),
        ([*SHARE, "--shard", "0/0"], 2, "shard 0/0 does not exist"),
        ([*SHARE, "--shard", "x"], 2, "'x' is not a shard such as 0/4"),
        ([*SHARE, "--shard", "1"], 2, "is not a shard such as 0/4"),
        ([*SHARE, "--shard=-1/2"], 2, "is not a shard such as 0/4"),
        ([*SHARE, "--shard", "\u0661/2"], 2, "is not a shard such as 0/4"),
        (
            ["cooc", "text.txt", "--train-tokenizer", 300, "--shard", "0/2"],
            2,
            "shards must share one tokenizer, and each would train its own; train one first",
        ),
        (["cooc", "text.txt", "--shard", "0/2"], 2, "give either a tokenizer"),
        (["cooc", "text.txt", "--tokenizer", "no.json", "--shard", "0/2"], 3, "no.json: cannot"),
        (["cooc", "--merge"], 2, "TEXT"),
        (["cooc", "--merge", "part0", "text.txt"], 2, "'text.txt' is a file, and only counts"),
        (["cooc", "--merge", "part0", "-"], 4, "has no manifest.json"),
        (["cooc", "--merge", "part0", "part0"], 4, "part0: would be counted twice"),
        (["cooc", "--merge", "part0", "."], 4, "has no manifest.json"),
        (["cooc", "--merge", "part0", "part1", "--seed", 0], 2, "--seed is of counting"),
        (["cooc", "--merge", "part0", "--tokenizer", "t.json"], 2, "--tokenizer is of counting"),
        (["cooc", "--merge", "part0", "--shard", "0/2"], 2, "--shard is of counting"),
    ],
)
def test_what_is_refused(initctl, place: Path, tmp_path: Path, arguments, code: int, says) -> None:
    run = initctl(*arguments, "-o", tmp_path / "out", cwd=place)
    assert (run.returncode, run.stdout) == (code, b""), run.stderr
    assert says in " ".join(run.stderr.decode().split())
    assert "Traceback" not in run.stderr.decode()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
