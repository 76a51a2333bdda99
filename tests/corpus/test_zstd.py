"""zstd is known by its first bytes, read frame by frame, and never passes for a short corpus."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import packed
from structinit_core.corpus import Border, read_documents
from structinit_core.errors import InputError, LimitError, MissingError, StructinitError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = [f"{number} {random.Random(number).getrandbits(256):x}\n" for number in range(4000)]
TEXT = "".join(LINES).encode()
SKIPPED = b"\x5a\x2a\x4d\x18\x04\x00\x00\x00abcd"


def lines(path: Path) -> list[str]:
    return list(read_documents([path], border=Border.LINE))


def pack(content: bytes, **options: int) -> bytes:
    """One frame, its options by the names of the library."""
    given = {zstd.CompressionParameter[name]: value for name, value in options.items()}
    packer = zstd.ZstdCompressor(options=given)
    return packer.compress(content) + packer.flush()


def refused(path: Path, match: str = "zstd") -> StructinitError:
    with pytest.raises(InputError, match=match) as caught:
        lines(path)
    assert caught.value.exit_code == 3
    assert str(caught.value.where).startswith(f"{path}:")
    return caught.value


@pytest.mark.parametrize("name", ["a.txt", "a.zst", "a.txt.zst", "a.gz", "A.TXT.ZST"])
def test_the_name_does_not_decide(put, name: str) -> None:
    assert lines(put(name, pack(TEXT))) == LINES
    assert lines(put(name, TEXT)) == LINES


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.ndjson.zst", "A.JSONL.ZST"])
@pytest.mark.parametrize("wrap", [bytes, pack], ids=["plain", "zstd"])
def test_records_may_be_packed(put, name: str, wrap) -> None:
    assert lines(put(name, wrap(b'{"text": "one"}\n'))) == ["one"]


def test_records_by_field(put) -> None:
    path = put("a.zst", pack(b'{"body": "one"}\n'))
    assert list(read_documents([path], text_field="body")) == ["one"]


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=6), skip=st.booleans())
def test_frames_are_read_one_after_the_other(cuts: list[int], skip: bool, tmp_path_factory) -> None:
    text = TEXT[:3000]
    places = [0, *sorted(cuts), len(text)]
    frames = [pack(text[a:b]) for a, b in pairwise(places)]
    path = tmp_path_factory.mktemp("frames") / "a.zst"
    path.write_bytes(b"".join((SKIPPED if skip else b"") + frame for frame in frames))
    assert "".join(lines(path)).encode() == text


@pytest.mark.parametrize("keep", [5, 12, 0.5, -1])
def test_a_truncated_file_is_damaged(put, keep: float) -> None:
    content = pack(TEXT)
    end = int(keep * len(content)) if isinstance(keep, float) else keep
    refused(put("cut.zst", content[:end]))


def test_a_truncated_second_frame_is_damaged(put) -> None:
    path = put("cut.zst", pack(b"one\ntwo\n") + pack(TEXT)[:7])
    assert refused(path).where == f"{path}:2"


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_changed_body_is_damaged(put, place: float) -> None:
    content = bytearray(pack(TEXT, checksum_flag=1))
    start = int(place * len(content))
    content[start : start + 8] = bytes(byte ^ 0xFF for byte in content[start : start + 8])
    refused(put("changed.zst", bytes(content)))


def test_a_wrong_checksum_is_damaged(put) -> None:
    content = bytearray(pack(TEXT, checksum_flag=1))
    content[-1] ^= 1
    refused(put("sum.zst", bytes(content)))


def test_garbage_after_the_end_is_damaged(put) -> None:
    refused(put("tail.zst", pack(b"one\n") + b"garbage"))


def test_the_line_before_the_damage_is_named(put) -> None:
    path = put("cut.zst", pack(TEXT)[:-20])
    number = int(str(refused(path).where).rpartition(":")[2])
    assert 1000 < number <= len(LINES)


def test_invalid_utf8_is_not_the_packing_s_fault(put) -> None:
    path = put("a.zst", pack(b"one\n\xff\n"))
    assert refused(path, "UTF-8").where == f"{path}:2"


@pytest.mark.parametrize(("log", "fits"), [(27, True), (28, False), (30, False)])
def test_a_window_beyond_the_bound_is_a_limit(put, log: int, fits: bool) -> None:
    assert packed.MAX_WINDOW_LOG == 27
    path = put("wide.zst", pack(b"one\n", window_log=log))
    if fits:
        assert lines(path) == ["one\n"]
        return
    with pytest.raises(LimitError, match="window") as caught:
        lines(path)
    assert caught.value.exit_code == 6
    assert caught.value.where == str(path)
    assert "--long" in (caught.value.hint or "")


def test_without_the_library_the_extra_is_named(put, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    path = put("a.txt.zst", pack(TEXT))
    with pytest.raises(MissingError) as caught:
        lines(path)
    assert caught.value.exit_code == 8
    assert caught.value.where == str(path)
    assert caught.value.hint == 'pip install "structinit[zst]"'
    assert lines(put("a.txt", TEXT)) == LINES
