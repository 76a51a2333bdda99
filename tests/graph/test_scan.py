"""Lines read from their bytes and lines read by the exact reader say the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.graph import delimited
from structinit_core.graph import lines as lines_module
from structinit_core.graph.delimited import read_delimited
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.row_block import RowBlock

NAMES = st.one_of(
    st.sampled_from(["a", "b", "кот", "日本", "🙂", "a b", " ", "  a", "\u00a0", "", "x" * 4097]),
    st.text(max_size=6),
)
NUMBERS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(0, 10**6, places=4).map(str),
    st.sampled_from(
        ["", "1", "0", "-1", "+1", "1.", ".5", ".", "-", "1e3", "0x1", "1_0", " 7", "٣"]
    ),
)
HEADERS = {
    "names": ("from", "to", "type", "neuron"),
    "amounts": ("from", "to", "amount", "valence", "other"),
    "ratings": ("to", "height", "from", "rating"),
    "times": ("timestamp", "from", "to"),
}


def cells(kind: str) -> st.SearchStrategy[list[str]]:
    columns = [
        NUMBERS if name in ("amount", "valence", "rating", "height", "timestamp") else NAMES
        for name in HEADERS[kind]
    ]
    return st.tuples(*columns).map(list) | st.lists(NAMES, max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A delimiter and a file: most of its rows whole, some quoted, some with any bytes."""
    delimiter = draw(st.sampled_from([",", "\t"]))
    kind = draw(st.sampled_from(sorted(HEADERS)))
    rows = draw(st.lists(cells(kind), min_size=1, max_size=12))
    out = io.StringIO()
    out.write(delimiter.join(HEADERS[kind]) + "\n")
    for row in rows:
        fields = [
            '"' + field.replace('"', '""') + '"' if draw(st.integers(0, 7)) == 0 else field
            for field in row
        ]
        out.write(delimiter.join(fields) + draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n"])))
    raw = out.getvalue().encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(raw.index(b"\n") + 1, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=3)) + raw[at:]
    if draw(st.booleans()):
        raw = raw.removesuffix(b"\n")
    return delimiter, raw


def said(path: Path, delimiter: str, *, scanned: bool) -> tuple[list[object], list[str]]:
    """Every row as it was read, and the quarantine."""
    bad = io.StringIO()
    rows: list[object] = []
    for block in read_delimited(path, delimiter, {}, Quarantine(bad, path), scanned=scanned):
        text = block.text.tobytes()
        for names, amount, height in zip(
            block.names.tolist(), block.amounts.tolist(), block.heights.tolist(), strict=True
        ):
            rows.append(([text[low:high] for low, high in names], amount, height))
    return rows, bad.getvalue().splitlines()


NASTY = [
    *(
        "",
        " ",
        "  a",
        "a ",
        "a b",
        "\u00a0",
        "x" * 4095,
        "x" * 4096,
        "x" * 4097,
        "ы" * 2048,
        "ы" * 2049,
    ),
    *(
        "a\x00",
        "a\x1f",
        "a\x7f",
        "a\x80",
        "a\x9f",
        "a\xa0",
        "a\r",
        "\ufeff",
        "\uffff",
        "𐀀",
        "\U0010ffff",
    ),
    *("\ud7ff", "\ud800", "\ud900", "\udfff", "\ue000"),
    *(
        '"a"',
        '""',
        '"',
        '"a"x',
        '"a" ',
        ' "a"',
        'a"b',
        '"a""b"',
        '"a,b"',
        '"a\tb"',
        '"кот"',
        '"a\x01"',
        '"\ud800"',
    ),
    *(
        "1",
        "0",
        "-1",
        "2",
        "-2",
        "1.0",
        "0.5",
        "-0",
        "-0.5",
        "+1",
        "01",
        "1.",
        ".5",
        ".",
        "-",
        "1e3",
        "nan",
    ),
    *("123456789012345", "1234567890123456", "0.1", "0.30000000000000004", "12345678901234.5"),
    *(
        "9007199254740993",
        "99999999999.99999",
        "0.00000000000001",
        "8.41",
        "1.7976931348623157e308",
    ),
    *("1289241911.72836", "-1289241911", "1.999999999999999", "1.9999999999999999", "2021-11-06"),
]
BYTES = [
    b"\xff",
    b"\xc2",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xc1\xbf",
    b"a\xe4\xb8",
]


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("kind", HEADERS)
def test_each_oddity_by_itself_is_the_same(put, kind: str, delimiter: str) -> None:
    """In an otherwise good row, in every column; a good row follows each."""
    header = [name.encode() for name in HEADERS[kind]]
    good = [b"a" if name in ("from", "to", "type", "neuron") else b"1" for name in HEADERS[kind]]
    rows = [header]
    for odd in (*(text.encode("utf-8", "surrogatepass") for text in NASTY), *BYTES):
        rows += [[*good[:at], odd, *good[at + 1 :]] for at in range(len(good))]
        rows.append(good)
    path = put("table", b"\n".join(delimiter.encode().join(row) for row in rows))
    exact, bad = said(path, delimiter, scanned=False)
    assert (exact, bad) == said(path, delimiter, scanned=True)
    assert len(exact) > len(NASTY) + len(BYTES)
    assert len(bad) > len(BYTES)


@settings(max_examples=100, deadline=None)
@given(tables())
def test_scanned_or_not_is_the_same(tmp_path_factory, table: tuple[str, bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "table"
    path.write_bytes(table[1])
    assert said(path, table[0], scanned=True) == said(path, table[0], scanned=False)


@pytest.mark.parametrize("scanned", [True, False])
def test_blocks_and_buffers_are_no_borders(
    put, scanned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'{i},"x\n{"y" * (i % 7)}\n{i}","q,{i % 3}"\n{i},b{i},r\n' for i in range(300)]
    path = put("a.csv", "from,other,to\n" + "".join(rows))
    whole = said(path, ",", scanned=scanned)
    assert len(whole[0]) == 600
    monkeypatch.setattr(delimited, "_LINES", 70)
    monkeypatch.setattr(lines_module, "_CHUNK_BYTES", 50)
    assert said(path, ",", scanned=scanned) == whole


def test_a_quote_that_is_never_closed_costs_one_line(put) -> None:
    rows = [f"a{i},b{i}\n" for i in range(200)]
    rows[50] = 'a50,"b50\n'
    found, bad = said(put("a.csv", "from,to\n" + "".join(rows)), ",", scanned=True)
    assert (len(found), len(bad)) == (199, 1)
    assert '"line": 52' in bad[0]
    assert "never closed" in bad[0]


def test_quotes_that_hold_no_quote_are_scanned(put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("a.csv", 'from,to,amount\n"a","b, c","2"\r\n"","кот",""\n"d""e",f,1\n')
    exact: list[object] = []
    check = delimited.check_row
    monkeypatch.setattr(delimited, "check_row", lambda *row: exact.append(row) or check(*row))
    rows, bad = said(path, ",", scanned=True)
    assert [row[0][:2] for row in rows] == [[b"a", b"b, c"], [b'd"e', b"f"]]  # type: ignore[index]
    assert len(bad) == 1
    assert [row[0][0] for row in exact] == ["", 'd"e']  # type: ignore[index]


def test_tabs_know_no_quotes(put) -> None:
    rows, bad = said(put("a.tsv", 'a "b"\tr\t"c\n'), "\t", scanned=True)
    assert not bad
    assert rows[0][0][:2] == [b'a "b"', b'"c']  # type: ignore[index]


def test_a_join_keeps_the_order_of_the_file() -> None:
    def block(*values: int) -> RowBlock:
        names = np.zeros((len(values), 4, 2), np.int64)
        return RowBlock(np.zeros(5, np.uint8), names, np.array(values, float), np.array(values))

    both = block(1, 4, 5).joined(block(2, 3), np.array([1, 4, 5, 2, 3]))
    assert both.heights.tolist() == [1, 2, 3, 4, 5]
    assert both.names[:, 0, 0].tolist() == [0, 5, 5, 0, 0]
