"""One list of links in every format is one graph."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from structinit_core.errors import InputError
from structinit_core.graph import Graph, LinkSource, read_graph

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COLUMNS = ("neuron", "from", "to", "relation", "amount", "valence", "height", "timestamp")
ROWS = [
    ("n1", "кот", "a, b", "is", "1.5", "1", "10", "2021-11-06 03:52:13"),
    ("", "a, b", 'say "x"', "", "0.1", "", "", ""),
    ("n2", "кот", "a, b", "is", "2", "1", "11", "5"),
    ("n1", "gone", "кот", "is", "2", "-1", "12", ""),
    ("n2", "c", "кот", "has", "1e-3", "1", "9007199254740993", ""),
]


def as_csv() -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([COLUMNS, *ROWS])
    return out.getvalue().encode()


def as_tsv() -> bytes:
    return "".join("\t".join(row) + "\n" for row in (COLUMNS, *ROWS)).encode()


def as_jsonl() -> bytes:
    out = []
    for number, row in enumerate(ROWS):
        record: dict[str, object] = {k: v for k, v in zip(COLUMNS, row, strict=True) if v}
        if number % 2:
            record["amount"] = float(str(record["amount"]))
            record["height"] = int(str(record.get("height", 0)))
            record["neuron"] = record.get("neuron")
        out.append(json.dumps(record) + "\n\n")
    return "".join(out).encode()


def as_parquet() -> bytes:
    table = dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True))
    typed = {
        **{name: pa.array(table[name]) for name in ("from", "to", "timestamp")},
        "neuron": pa.array([name or None for name in table["neuron"]]).dictionary_encode(),
        "relation": pa.array(table["relation"], pa.large_string()),
        "amount": pa.array([float(x) for x in table["amount"]]),
        "valence": pa.array([int(x) if x else None for x in table["valence"]], pa.int8()),
        "height": pa.array([int(x) if x else None for x in table["height"]], pa.uint64()),
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(typed), out, row_group_size=2)
    return out.getvalue()


FORMS = {
    "a.csv": as_csv,
    "a.tsv": as_tsv,
    "A.TAB": as_tsv,
    "a.txt": as_tsv,
    "stdin": as_csv,
    "a.jsonl": as_jsonl,
    "a.ndjson": as_jsonl,
    "links": as_jsonl,
    "a.parquet": as_parquet,
    "a.csv.gz": lambda: gzip.compress(as_csv()),
    "a.jsonl.zst": lambda: zstd.compress(as_jsonl()),
    "a.tsv.zst": lambda: zstd.compress(as_tsv()),
    "spooled": lambda: gzip.compress(as_tsv()),
}


def content(graph: Graph) -> dict[str, object]:
    names = {n: list(getattr(graph, n)) for n in ("particles", "relations", "neurons")}
    columns = ("subject", "relation", "object", "weight", "neuron", "height")
    return names | {name: getattr(graph, name).tolist() for name in columns}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_is_the_same_graph(put, name: str) -> None:
    graph, facts = read_graph(LinkSource([put(name, FORMS[name]())]))
    assert content(graph) == {
        "particles": ["кот", "a, b", 'say "x"', "c"],
        "relations": ["is", "", "has"],
        "neurons": ["n1", "n2"],
        "subject": [0, 1, 3],
        "relation": [0, 1, 2],
        "object": [1, 2, 0],
        "weight": [3.5, 0.1, 1e-3],
        "neuron": [0, -1, 1],
        "height": [10, 0, 9007199254740993],
    }
    assert (facts.rows, facts.clipped, facts.duplicates, facts.bad) == (5, 1, 1, 0)


def test_files_are_one_list_in_the_order_given(put) -> None:
    one, two = put("a.csv", "from,to\na,b\nb,c\n"), put("b.tsv", "b\tr\ta\n")
    forth, facts = read_graph(LinkSource([one, two]))
    back, _ = read_graph(LinkSource([two, one]))
    assert list(forth.particles) == ["a", "b", "c"]
    assert list(back.particles) == ["b", "a", "c"]
    assert facts.files == (("a.csv", 2), ("b.tsv", 1))
    assert (facts.rows, len(forth)) == (3, 3)
    assert list(forth.relations) == ["", "r"]


def test_times_stand_in_for_heights(put, tmp_path: Path) -> None:
    text = "from,to,timestamp\na,b,1289241911.72836\nb,c,2021-11-06T03:52:13Z\nc,a,\n"
    graph, _ = read_graph(LinkSource([put("a.csv", text)]))
    moment = datetime(2021, 11, 6, 3, 52, 13, tzinfo=UTC)
    assert graph.height.tolist() == [1289241911, int(moment.timestamp()), 0]
    table = pa.table({"from": ["a"], "to": ["b"], "timestamp": pa.array([moment])})
    parquet.write_table(table, tmp_path / "t.parquet")
    stored, _ = read_graph(LinkSource([tmp_path / "t.parquet"]))
    assert stored.height.tolist() == [int(moment.timestamp())]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.csv", "x,from,to,y\n9,c,d,2\n", {"from": "x", "to": "Y"}),
        ("a.csv", "9,c,d,2\n", {"from": "1", "to": "4"}),
        ("a.jsonl", '{"x": 9, "from": [1], "to": {}, "y": "2"}\n', {"from": "x", "to": "y"}),
        ("a.tsv", "x\tr\ty\n9\tr\t2\n", {"from": "x", "to": "y", "relation": ""}),
        ("a.csv", "from,to,type\n9,2,r\n", {"relation": ""}),
    ],
)
def test_columns_by_mapping(put, name: str, text: str, columns: dict[str, str]) -> None:
    graph, _ = read_graph(LinkSource([put(name, text)], columns=columns))
    assert (list(graph.particles), list(graph.relations)) == (["9", "2"], [""])


@pytest.mark.parametrize(
    ("name", "text", "columns", "match"),
    [
        ("a.csv", "a,b\nb,c\n", {}, "none is known as 'from' or 'to'"),
        ("a.csv", "a,b,c,d\n", {}, "4 columns"),
        ("a.csv", "from,x,y\n", {}, "none is known as 'to'"),
        ("a.csv", "from,to,amount,weight\n", {}, "2 columns for 'amount'"),
        ("a.csv", "from,to,a,A\n", {"amount": "a"}, "2 columns for 'a'"),
        ("a.csv", "from,to\n", {"amount": "x"}, "no column 'x'"),
        ("a.csv", "a,b\n", {"from": "1", "to": "3"}, "no column 3 of 2"),
        ("a.csv", "a,b\n", {"from": "0", "to": "1"}, "no column 0 of 2"),
        ("a.csv", "from,to,rating,amount\n", {}, "rating"),
        ("a.jsonl", '{"a": 1, "b": 2, "c": 3}\n', {}, "none is known as 'from' or 'to'"),
        ("a.txt", "a b c\n", {}, "neither tabs nor commas"),
        ("a.csv", "", {}, "holds no row"),
        ("a.jsonl", "\n", {}, "holds no record"),
        ("a.txt", "", {}, "holds no row"),
        ("a.csv", "from,to\n", {}, "no row gives a link"),
        ("a.csv", "from,to,valence\na,b,0\n", {}, "no row gives a link"),
        ("a.csv", "from,to,amount\na,b,1e308\na,b,1e308\n", {}, "too large"),
        ("a.csv", '"from\nto', {}, "never closed"),
    ],
)
def test_columns_that_are_not_there(put, name, text, columns, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_graph(LinkSource([put(name, text)], columns=columns))
