"""Files that cannot be read as links: one line that says which, where and why."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from structinit_core.errors import InputError, LimitError, StructinitError
from structinit_core.graph import LinkSource, read_graph
from structinit_core.graph import lines as lines_module

ROWS = "".join(f"a{i}\tr\tb{i}\n" for i in range(5000)).encode()


def refused(path: Path, match: str, kind: type[StructinitError] = InputError) -> StructinitError:
    with pytest.raises(kind, match=match) as caught:
        read_graph(LinkSource([path]))
    assert str(caught.value.where).startswith(str(path))
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet", "a.graph", "a"):
        refused(tmp_path / name, "cannot be read: No such file")
    refused(tmp_path, "cannot be read: Is a directory")


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a"])
@pytest.mark.parametrize("keep", [-1, -9, 0.5])
def test_a_truncated_file_is_no_short_list(put, name: str, keep: float) -> None:
    packed = gzip.compress(ROWS)
    end = int(keep * len(packed)) if isinstance(keep, float) else keep
    refused(put(name, packed[:end]), "damaged or truncated gzip")


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.csv", "from,to\n"), ("a.tsv", "from\tto\n"), ("a.jsonl", '{"from": 1, "to": 2}\n')],
)
def test_a_line_that_is_too_long_is_a_limit(put, monkeypatch, name: str, head: str) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 1 << 16)
    monkeypatch.setattr(lines_module, "_CHUNK_BYTES", 1 << 10)
    path = put(name, head + "x" * (1 << 18))
    assert refused(path, "longer than", LimitError).where == f"{path}:2"


def test_a_line_may_be_longer_than_the_buffer(put, monkeypatch) -> None:
    monkeypatch.setattr(lines_module, "_CHUNK_BYTES", 16)
    path = put("a.csv", "from,to,note\na,b," + "x" * 5000 + "\nc,d,\n")
    assert len(read_graph(LinkSource([path]))[0]) == 2


def test_zeros_that_unpack_without_end_are_refused_early(put) -> None:
    refused(put("a.tsv", gzip.compress(bytes(1 << 26))), "longer than 16 MiB", LimitError)


@pytest.mark.parametrize("text", ["\ufefffrom,to\na,b\n", "\ufeffa\tr\tb\n"])
def test_a_byte_order_mark_is_no_text(put, text: str) -> None:
    graph, _ = read_graph(LinkSource([put("a.csv" if "," in text else "a.tsv", text)]))
    assert list(graph.particles) == ["a", "b"]


def stored(**columns: object) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"PAR1 and no more", "not a readable Parquet"),
        (b"", "not a readable Parquet"),
        (stored(a=["x"], b=["y"]), "none is known as 'from'"),
        (stored(**{"from": [b"x"], "to": ["y"]}), "holds binary"),
        (stored(**{"from": [["x"]], "to": ["y"]}), "holds list"),
        (stored(**{"from": ["x"], "to": ["y"]})[:-20] + bytes(20), "not a readable Parquet"),
    ],
)
def test_a_parquet_file_without_links(put, content: bytes, match: str) -> None:
    refused(put("a.parquet", content), match)


def test_bad_rows_of_parquet_are_counted_from_one(put, tmp_path: Path) -> None:
    subjects = [f"a{i}" for i in range(9000)]
    subjects[8000] = "a\nb"
    content = stored(**{"from": subjects, "to": ["b"] * 9000, "amount": [1.0] * 8999 + [-1.0]})
    graph, facts = read_graph(LinkSource([put("a.parquet", content)]), tmp_path / "bad.jsonl")
    assert (len(graph), facts.bad) == (8998, 2)
    lines = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert '"line": 8001' in lines[0]
    assert '"line": 9000' in lines[1]
