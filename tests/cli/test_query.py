"""``initctl query`` as a shell sees it: tables, JSON, one-line refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_a_table_of_labels_comes_out(initctl, graph_checkpoint: Path) -> None:
    run = initctl("query", graph_checkpoint, "dog", "is a", "--top", 2)
    assert (run.returncode, run.stderr) == (0, b"")
    lines = run.stdout.decode().splitlines()
    assert lines[0].strip() == "dog · is a"
    assert sum(line.startswith("│") for line in lines) == 2
    both = initctl("query", graph_checkpoint, "Q0").stdout.decode()
    assert "relations of dog" in both
    assert "neighbours of dog" in both
    assert "bank" in both
    assert "is a⁻¹" in both


def test_json_holds_what_the_table_shows(initctl, graph_checkpoint: Path) -> None:
    run = initctl("query", graph_checkpoint, "dog", "is a", "--inverse", "--top", 2, "--json")
    answer = json.loads(run.stdout)
    assert answer["subject"] == {"token": 33, "id": "Q0", "label": "dog"}
    assert answer["relation"]["id"] == "is a⁻¹"
    assert len(answer["particles"]) == 2
    table = initctl("query", graph_checkpoint, "dog", "is a", "--inverse", "--top", 2)
    for one in answer["particles"]:
        assert one["id"] in table.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["dgo"], 3, "no particle is called 'dgo'; is it 'dog'?"),
        (["dog", "is"], 3, "no relation is called 'is'; is it 'is a'"),
        (["dog", "--inverse"], 2, "--inverse"),
        (["dog", "--top", "0"], 2, "--top"),
        (["dog", "--memory", "lots"], 2, "is not a size"),
        (["dog", "--device", "tpu"], 2, "unknown device"),
        (["\x1b[2J"], 3, "\\x1b[2J"),
        ([], 2, "SUBJECT"),
    ],
)
def test_refusals(initctl, graph_checkpoint: Path, arguments, code: int, says: str) -> None:
    run = initctl("query", graph_checkpoint, *arguments)
    assert (run.returncode, run.stdout) == (code, b"")
    error = run.stderr.decode()
    assert says in error
    assert "\x1b" not in error
    if error.startswith("initctl: error"):
        assert len(error.splitlines()) == 1


def test_counts_are_no_graph(initctl, counts_path: Path) -> None:
    run = initctl("query", counts_path, "dog")
    assert run.returncode == 4
    assert "is no checkpoint of a graph; name a directory" in run.stderr.decode()
    assert len(run.stderr.splitlines()) == 1


def test_hostile_names_do_not_reach_the_terminal(initctl, graph_copy: Path) -> None:
    from structinit_core.corpus import write_graph_tokenizers

    ids = ["Q0", "\x1b[31mred", "[bold]b", "x" * 5000, "\u202eright", "Q5"]
    write_graph_tokenizers(graph_copy, ["is a", "[r]has"], ids, ["[/]"] * 6, 32, 16)
    run = initctl("query", graph_copy, "Q0")
    assert run.returncode == 0, run.stderr
    out = run.stdout.decode()
    for mark in ("\x1b", "\u202e"):
        assert mark not in out
    for text in ("[/]", "[bold]b", "[r]has", "\\x1b[31mred", "\\u202eright"):
        assert text in out
    assert max(map(len, out.splitlines())) <= 240
