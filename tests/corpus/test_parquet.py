"""Parquet: one document a row of a column of strings, every fault with its file and row."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from structinit_core.corpus import Border, read_documents
from structinit_core.errors import InputError

STRINGS = {
    "string": pa.string(),
    "large": pa.large_string(),
    "view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "large dictionary": pa.dictionary(pa.int8(), pa.large_string()),
}
MANY = [f"document {number}" for number in range(1000)]


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pa.table(columns), path, **options)
    return path


def refused(path: Path, match: str, row: int | None, text_field: str | None = None) -> InputError:
    with pytest.raises(InputError, match=match) as caught:
        list(read_documents([path], text_field=text_field))
    assert caught.value.where == (str(path) if row is None else f"{path}:{row}")
    assert caught.value.exit_code == 3
    return caught.value


def raw_strings(*values: bytes) -> pa.Array:
    """Strings whose bytes nobody has looked at."""
    return pa.array(values, pa.binary()).view(pa.string())


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=20), max_size=40),
    kind=st.sampled_from(sorted(STRINGS)),
    group=st.integers(1, 50),
    compression=st.sampled_from(["none", "snappy", "zstd"]),
)
def test_texts_come_back_as_they_went_in(
    texts: list[str | None], kind: str, group: int, compression: str
) -> None:
    column = pa.array(texts, pa.string()).cast(STRINGS[kind])
    with TemporaryDirectory() as directory:
        path = write(
            Path(directory, "a.parquet"),
            {"id": range(len(texts)), "text": column},
            row_group_size=group,
            compression=compression,
        )
        assert list(read_documents([path])) == [text for text in texts if text and text.strip()]


def test_order_is_kept_over_batches_and_row_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"text": MANY}, row_group_size=300)
    assert list(read_documents([path])) == MANY


@pytest.mark.parametrize("border", Border)
def test_a_border_does_not_cut_rows(tmp_path: Path, border: Border) -> None:
    text = "one\n\n = Title = \n\ntwo\n"
    path = write(tmp_path / "a.parquet", {"text": [text]})
    assert list(read_documents([path], border=border)) == [text]


def test_formats_are_mixed_under_one_field(put, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "A.PARQUET", {"body": ["one"], "text": ["no"]}),
        put("b.jsonl", '{"body": "two"}\n'),
    ]
    assert list(read_documents(paths, text_field="body")) == ["one", "two"]


def test_a_column_with_a_dot_in_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"a.b": ["one"], "a": ["no"]})
    assert list(read_documents([path], text_field="a.b")) == ["one"]


@pytest.mark.parametrize("kind", sorted(STRINGS))
def test_dictionaries_of_several_row_groups(tmp_path: Path, kind: str) -> None:
    texts = [str(number // 7) for number in range(700)]
    column = pa.array(texts).cast(STRINGS[kind] if kind != "large dictionary" else pa.string())
    path = write(tmp_path / "a.parquet", {"text": column}, row_group_size=150)
    assert list(read_documents([path])) == texts


def test_a_missing_column_names_those_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"id": [1], "body": ["one"]})
    error = refused(path, r"'text' is missing \(found: 'body', 'id'\)", None)
    assert "--text-field" in (error.hint or "")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1], "int64"),
        ([b"a"], "binary"),
        ([["a"]], "list"),
        ([{"text": "a"}], "struct"),
        ([None], "null"),
        (pa.array([b"a"]).dictionary_encode(), "dictionary"),
    ],
)
def test_a_column_of_something_else_names_its_type(tmp_path: Path, values: Any, name: str) -> None:
    path = write(tmp_path / "a.parquet", {"text": values})
    refused(path, f"'text' holds {name}.*, not strings", None)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = [pa.array(["one"]), pa.array(["two"])]
    parquet.write_table(pa.table(columns, names=["text", "text"]), path)
    refused(path, "2 columns 'text'", None)


@pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xed\xa0\x80"])
@pytest.mark.parametrize("before", [0, 1, 200])
def test_invalid_utf8_is_refused_with_its_row(tmp_path: Path, bad: bytes, before: int) -> None:
    column = raw_strings(*[b"fine"] * before, bad, b"fine")
    path = write(tmp_path / "a.parquet", {"text": column}, row_group_size=70)
    refused(path, "UTF-8 at byte", before + 1)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text\n" * 100, b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_parquet(put, content: bytes) -> None:
    refused(put("a.parquet", content), "not a readable Parquet", None)


@pytest.mark.parametrize("keep", [0.2, 0.9, -1])
def test_a_truncated_file(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a.parquet", {"text": MANY})
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep > 0 else -1])
    refused(path, "not a readable Parquet", None)


def test_damage_in_the_middle_names_the_row_before_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        {"text": MANY},
        row_group_size=250,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = bytearray(path.read_bytes())
    place = content.index(b"document 600")
    content[place : place + 8] = b"DOCUMENT"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged Parquet after this row") as caught:
        list(read_documents([path]))
    row = int(str(caught.value.where).removeprefix(f"{path}:"))
    assert 400 < row <= 500


@pytest.mark.parametrize("seed", range(30))
def test_changed_bytes_end_in_documents_or_a_refusal(tmp_path: Path, seed: int) -> None:
    path = write(tmp_path / "a.parquet", {"text": MANY[:200]}, row_group_size=60)
    content = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(4):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    with suppress(InputError):
        assert all(isinstance(text, str) for text in read_documents([path]))


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "no.parquet", "No such file", None)
    (tmp_path / "dir.parquet").mkdir()
    refused(tmp_path / "dir.parquet", "directory", None)


def test_rows_are_streamed(tmp_path: Path) -> None:
    """Of one large row group only a few pages are in memory."""
    draw = random.Random(0)
    texts = [f"{draw.getrandbits(80_000):x}" for _ in range(2000)]
    small = write(tmp_path / "small.parquet", {"text": texts[:1]})
    large = write(
        tmp_path / "large.parquet",
        {"text": texts},
        use_dictionary=False,
        compression="none",
        write_batch_size=16,
    )
    assert parquet.ParquetFile(large).num_row_groups == 1
    if not Path("/proc/self/status").is_file():
        pytest.skip("needs /proc")
    code = """
import sys
from pathlib import Path
from structinit_core.corpus import read_documents
for path in sys.argv[1:]:
    assert all(len(document) > 10_000 for document in read_documents([Path(path)]))
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, small, large], capture_output=True, check=True
    )
    before, after = map(int, run.stdout.split())
    assert after - before < large.stat().st_size / 2


def test_plain_text_does_not_load_the_library(put) -> None:
    path = put("a.txt", "one\n")
    code = """
import sys
from pathlib import Path
from structinit_core.corpus import read_documents
assert list(read_documents([Path(sys.argv[1])])) == ["one\\n"]
print([name for name in ("pyarrow", "compression.zstd", "backports.zstd") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert run.stdout.decode().strip() == "[]"
