"""gzip is known by its first bytes; a damaged one never passes for a short corpus."""

from __future__ import annotations

import gzip
import os
import random
import threading
from pathlib import Path

import pytest

from structinit_core.corpus import Border, read_documents
from structinit_core.errors import InputError

LINES = [f"{number} {random.Random(number).getrandbits(256):x}\n" for number in range(4000)]
TEXT = "".join(LINES).encode()


def lines(path: Path) -> list[str]:
    return list(read_documents([path], border=Border.LINE))


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a.txt.gz", "a", "A.TXT.GZ"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_name_does_not_decide(put, name: str, pack) -> None:
    assert lines(put(name, pack(TEXT))) == LINES


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_records_may_be_packed(put, name: str, pack) -> None:
    assert lines(put(name, pack(b'{"text": "one"}\n'))) == ["one"]


def test_members_are_read_one_after_the_other(put) -> None:
    assert lines(put("a.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))) == [
        "one\n",
        "two\n",
    ]


@pytest.mark.parametrize(("content", "found"), [(b"", []), (b"a", ["a"])])
def test_a_file_shorter_than_the_magic_is_plain(put, content: bytes, found: list[str]) -> None:
    assert lines(put("a.gz", content)) == found


@pytest.mark.parametrize("keep", [5, 12, 0.5, -1])
def test_a_truncated_file_is_damaged(put, keep: float) -> None:
    packed = gzip.compress(TEXT)
    end = int(keep * len(packed)) if isinstance(keep, float) else keep
    refused(put("cut.gz", packed[:end]))


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_changed_body_is_damaged(put, place: float) -> None:
    packed = bytearray(gzip.compress(TEXT))
    start = int(place * len(packed))
    packed[start : start + 8] = bytes(byte ^ 0xFF for byte in packed[start : start + 8])
    refused(put("changed.gz", bytes(packed)))


def test_a_body_that_is_no_deflate_is_damaged(put) -> None:
    refused(put("body.gz", gzip.compress(TEXT)[:10] + b"\xff" * 100))


def test_a_wrong_checksum_is_damaged(put) -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    refused(put("sum.gz", bytes(packed)))


def test_garbage_after_the_end_is_damaged(put) -> None:
    refused(put("tail.gz", gzip.compress(b"one\n") + b"garbage"))


def test_the_line_before_the_damage_is_named(put) -> None:
    path = put("cut.gz", gzip.compress(TEXT)[:-20])
    with pytest.raises(InputError) as caught:
        lines(path)
    name, _, number = str(caught.value.where).rpartition(":")
    assert name == str(path)
    assert 3000 < int(number) <= len(LINES)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[gzip.compress(TEXT)])
    writer.start()
    assert lines(pipe) == LINES
    writer.join()


def refused(path: Path) -> None:
    with pytest.raises(InputError, match="gzip") as caught:
        lines(path)
    assert caught.value.exit_code == 3
    assert str(caught.value.where).startswith(f"{path}:")
