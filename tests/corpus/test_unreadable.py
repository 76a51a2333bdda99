"""Files that cannot be read as text: which file, which line, which class of error."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from structinit_core.corpus import Border, read_documents, readers
from structinit_core.errors import InputError, LimitError


def consume(path: Path, border: Border = Border.BLANK) -> list[str]:
    return list(read_documents([path], border=border))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize(
    "bad", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"\xf0\x9f\x99"]
)
def test_invalid_utf8_is_refused_with_its_line(put, name: str, pack, bad: bytes) -> None:
    path = put(name, pack(b'{"text": "one"}\n\n' + bad + b"\n"))
    with pytest.raises(InputError, match="UTF-8") as caught:
        consume(path)
    assert caught.value.where == f"{path}:3"
    assert caught.value.hint


def test_the_byte_of_the_line_is_named(put) -> None:
    with pytest.raises(InputError, match="byte 3 of"):
        consume(put("a.txt", b"one\nabc\xff\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        consume(tmp_path / "missing.txt")
    assert caught.value.where == str(tmp_path / "missing.txt")
    assert caught.value.exit_code == 3


def test_a_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory") as caught:
        consume(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_the_files_before_a_missing_one_are_read(put, tmp_path: Path) -> None:
    documents = read_documents([put("a.txt", "one"), tmp_path / "missing.txt"])
    assert next(documents) == "one"
    with pytest.raises(InputError):
        next(documents)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("border", Border)
def test_a_line_beyond_the_bound_is_a_limit(
    put, pack, border: Border, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 16)
    path = put("a.txt", pack(b"x" * 15 + b"\n" + b"y" * 16 + b"\n"))
    with pytest.raises(LimitError, match="longer") as caught:
        consume(path, border)
    assert caught.value.where == f"{path}:2"
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_at_the_bound_is_read(put, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 16)
    text = "y" * (16 - len(end)) + end
    assert consume(put("a.txt", text * 2 if end else text), Border.LINE) == [text] * (1 + len(end))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_no_file_stays_open(put, pack) -> None:
    path = put("a.txt", pack(b"one\n" * 100_000))

    def is_open() -> bool:
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
        return any(os.path.lexists(link) and link.resolve() == path for link in links)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    documents = read_documents([path], border=Border.LINE)
    next(documents)
    assert is_open()
    documents.close()  # type: ignore[attr-defined]
    assert not is_open()
    consume(path)
    assert not is_open()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_byte_order_mark_is_no_text(put, pack) -> None:
    mark = b"\xef\xbb\xbf"
    assert consume(put("a.txt", pack(mark + b"one\n"))) == ["one\n"]
    assert consume(put("a.jsonl", pack(mark + b'{"text": "one"}\n'))) == ["one"]
    assert consume(put("b.txt", pack(b"one\n" + mark + b"two\n"))) == ["one\n\ufefftwo\n"]


def test_odd_characters_are_kept(put) -> None:
    text = "a\ufeff\x00b\x0bc\x85d\u2028e\rf\r\n"
    assert consume(put("a.txt", text), Border.LINE) == [text]
