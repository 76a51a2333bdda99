"""Bad rows: each with its line and reason, none of the others lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from structinit_core.errors import InputError, UsageError
from structinit_core.graph import LinkSource, read_graph
from structinit_core.graph.rows import MAX_NAME_BYTES

HEADER = "from,to,type,neuron,amount,valence,height\n"
GOOD = "".join(f"g{i},h{i},r,n,1,1,5\n" for i in range(50))
BAD = {
    "a,b,r,n,1,1": "6 fields, not 7",
    "a,b,r,n,1,1,5,6": "8 fields, not 7",
    ",b,r,n,1,1,5": "from is empty",
    "a, ,r,n,1,1,5": "to is empty",
    "a,b,r,n,x,1,5": "amount is no number",
    "a,b,r,n,1_0,1,5": "amount is no number",
    "a,b,r,n,nan,1,5": "amount is not finite",
    "a,b,r,n,1e999,1,5": "amount is not finite",
    "a,b,r,n,-0.5,1,5": "amount is negative",
    "a,b,r,n,1,2,5": "valence is not -1, 0 or 1",
    "a,b,r,n,1,0.5,5": "valence is not -1, 0 or 1",
    "a,b,r,n,1,1,-5": "height is no whole number from 0",
    "a,b,r,n,1,1,5.5": "height is no whole number from 0",
    "a,b,r,n,1,1,9223372036854775808": "height is no whole number from 0",
    "a\x1b[31m,b,r,n,1,1,5": "from holds a control character",
    "a,b\x85,r,n,1,1,5": "to holds a control character",
    "a,b,r\x00,n,1,1,5": "relation holds a control character",
    "a,b,r," + "n" * (MAX_NAME_BYTES + 1) + ",1,1,5": "neuron is longer than 4096 bytes",
    "ы" * (MAX_NAME_BYTES // 2 + 1) + ",b,r,n,1,1,5": "from is longer than 4096 bytes",
    '"a"x,b,r,n,1,1,5': "',' expected after '\"'",
}


@pytest.mark.parametrize(("row", "reason"), BAD.items())
def test_a_bad_row_is_set_aside(put, tmp_path: Path, row: str, reason: str) -> None:
    path = put("a.csv", HEADER + GOOD + row + "\n" + GOOD.replace("g", "k"))
    graph, facts = read_graph(LinkSource([path]), tmp_path / "quarantine.jsonl")
    assert (len(graph), facts.rows, facts.bad) == (100, 101, 1)
    (entry,) = map(json.loads, (tmp_path / "quarantine.jsonl").read_text().splitlines())
    assert entry["file"] == "a.csv"
    assert (entry["line"], entry["reason"]) == (52, reason)
    assert row.startswith(entry["row"].removesuffix("…"))
    assert len(entry["row"]) <= 201


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"\xff\xfe,b", "from is not UTF-8"),
        (b"a,\xed\xa0\x80", "to is not UTF-8"),
    ],
)
def test_invalid_utf8_is_one_bad_row(put, tmp_path: Path, row: bytes, reason: str) -> None:
    path = put("a.csv", b"from,to\n" + b"a,b\n" * 200 + row + b"\nc,d\n")
    graph, _ = read_graph(LinkSource([path]), tmp_path / "bad.jsonl")
    entry = json.loads((tmp_path / "bad.jsonl").read_text())
    assert (list(graph.particles), entry["reason"], entry["line"]) == (list("abcd"), reason, 202)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('{"from": "a"}', "1 columns, and none is known as 'to'"),
        ('{"from": "a", "to": ["b"]}', "to is neither text nor a number"),
        ('{"from": true, "to": "b"}', "from is neither text nor a number"),
        ('{"from": null, "to": "b"}', "from is empty"),
        ('{"from": "\\ud800", "to": "b"}', "from is not UTF-8"),
        ('{"from": "a", "to": "b", "amount": Infinity}', "amount is not finite"),
        ('{"from": "a", "to": "b"', "not a JSON record"),
        ("[" * 100_000, "not a JSON record"),
        ('["a", "b"]', "the record is no JSON object"),
    ],
)
def test_a_bad_record_is_set_aside(put, tmp_path: Path, record: str, reason: str) -> None:
    good = "".join(f'{{"from": {i}, "to": "x"}}\n' for i in range(100))
    path = put("a.jsonl", good + record + "\n" + good.replace("x", "y"))
    graph, facts = read_graph(LinkSource([path]), tmp_path / "bad.jsonl")
    assert (len(graph), facts.bad) == (200, 1)
    entry = json.loads((tmp_path / "bad.jsonl").read_text())
    assert (entry["line"], entry["reason"]) == (101, reason)


def test_the_limit_is_a_share_or_a_number(put) -> None:
    path = put("a.tsv", "a\tr\tb\n" * 98 + "bad\n" * 2)
    assert read_graph(LinkSource([path], max_bad=0.02))[1].bad == 2
    assert read_graph(LinkSource([path], max_bad=2))[1].bad == 2
    for limit in (0, 1, 0.01):
        with pytest.raises(InputError, match="first of 2 bad among 100 rows") as caught:
            read_graph(LinkSource([path], max_bad=limit))
        assert caught.value.where == f"{path}:99"
    for limit in (-1, 2.5, float("nan")):
        with pytest.raises(UsageError):
            read_graph(LinkSource([path], max_bad=limit))


def test_the_rows_are_there_to_see_after_a_refusal(put, tmp_path: Path) -> None:
    path, quarantine = put("a.tsv", "a\tr\tb\nbad\n"), tmp_path / "quarantine.jsonl"
    with pytest.raises(InputError) as caught:
        read_graph(LinkSource([path]), quarantine)
    assert str(quarantine) in (caught.value.hint or "")
    assert json.loads(quarantine.read_text())["row"] == "bad"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tsv", "quarantine.jsonl"]


def test_without_bad_rows_the_quarantine_is_empty(put, tmp_path: Path) -> None:
    quarantine = put("quarantine.jsonl", "old\n")
    read_graph(LinkSource([put("a.tsv", "a\tr\tb\n")]), quarantine)
    assert quarantine.read_bytes() == b""


def test_a_quarantine_that_cannot_be_written(put, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        read_graph(LinkSource([put("a.tsv", "a\tr\tb\n")]), tmp_path / "none" / "quarantine")


def test_an_unknown_column_is_a_usage_error(put) -> None:
    with pytest.raises(UsageError, match="'colour' is no column"):
        read_graph(LinkSource([put("a.tsv", "a\tr\tb\n")], columns={"colour": "x"}))
    with pytest.raises(UsageError, match="no links"):
        read_graph(LinkSource([]))
