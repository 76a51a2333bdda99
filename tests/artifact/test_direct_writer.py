"""Files written past the page cache: the bytes given, whatever the file system does."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import DirectWriter, direct

CHUNK = 1 << 16
EDGES = (0, 1, 4095, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 4097)
Write = Callable[[int, memoryview], int]
system_write, system_control = os.write, fcntl.fcntl


def content(size: int) -> bytes:
    return bytes(i * i % 251 for i in range(size))


def write(path: Path, *pieces: bytes, hashed: bool = False) -> str | None:
    with DirectWriter(path, hashed=hashed) as out:
        for piece in pieces:
            out.write(piece)
    return out.sha256


def bypasses(descriptor: int) -> bool:
    return bool(system_control(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


def open_things() -> tuple[int, int]:
    return threading.active_count(), len(list(Path("/dev/fd").iterdir()))


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "_CHUNK_BYTES", CHUNK)
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Bytes of each successful write, and whether it bypassed the cache."""
    seen: list[tuple[int, bool]] = []

    def record(descriptor: int, data: memoryview) -> int:
        written = system_write(descriptor, data)
        seen.append((written, bypasses(descriptor)))
        return written

    monkeypatch.setattr(os, "write", record)
    return seen


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from(EDGES) | st.integers(0, 3 * CHUNK), max_size=4))
def test_any_pieces_give_their_bytes_and_hash(pieces: list[int]) -> None:
    given = [content(size) for size in pieces]
    whole = b"".join(given)
    with TemporaryDirectory() as directory:
        path = Path(directory, "file")
        assert write(path, *given) is None
        assert path.read_bytes() == whole
        assert write(path, *given, hashed=True) == hashlib.sha256(whole).hexdigest()
        assert path.read_bytes() == whole


def test_a_piece_may_be_changed_once_it_is_given(path: Path) -> None:
    piece = bytearray(CHUNK)
    with DirectWriter(path, hashed=True) as out:
        for value in range(6):
            piece[:] = bytes([value]) * CHUNK
            out.write(memoryview(piece))
    expected = b"".join(bytes([value]) * CHUNK for value in range(6))
    assert path.read_bytes() == expected
    assert out.sha256 == hashlib.sha256(expected).hexdigest()


def test_a_longer_file_of_that_name_is_replaced(path: Path) -> None:
    path.write_bytes(bytes(5 * CHUNK))
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_only_full_chunks_bypass_the_cache(path: Path, writes: list[tuple[int, bool]]) -> None:
    with path.open("wb") as probe:
        try:
            fcntl.fcntl(probe, fcntl.F_SETFL, getattr(os, "O_DIRECT", 0))
        except OSError:
            pytest.skip("this file system has no direct writes")
        if not bypasses(probe.fileno()):
            pytest.skip("this system has no direct writes")
    write(path, content(2 * CHUNK + 4096))
    assert writes == [(CHUNK, True), (CHUNK, True), (4096, False)]


def test_a_small_file_starts_no_thread(path: Path) -> None:
    before = open_things()[0]
    with DirectWriter(path, hashed=True) as out:
        out.write(content(CHUNK - 1))
        assert open_things()[0] == before


def refused_flag(patch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & getattr(os, "O_DIRECT", 0):
            raise OSError(errno.EINVAL, "no direct writes here")
        return system_control(descriptor, command, argument)

    patch.setattr(fcntl, "fcntl", refuse)


def refused_write(patch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, data: memoryview) -> int:
        if bypasses(descriptor):
            raise OSError(errno.EINVAL, "the block is larger")
        return system_write(descriptor, data)

    patch.setattr(os, "write", refuse)


def no_such_flag(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(direct, "_DIRECT", 0)


def nothing_of_linux(patch: pytest.MonkeyPatch) -> None:
    no_such_flag(patch)
    for name in ("fdatasync", "posix_fadvise"):
        patch.delattr(os, name, raising=False)


@pytest.mark.parametrize(
    "system",
    [refused_flag, refused_write, no_such_flag, nothing_of_linux],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("size", EDGES)
def test_systems_without_direct_writes_get_the_same_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, system, size: int
) -> None:
    system(monkeypatch)
    whole = content(size)
    assert write(path, b"head", whole, hashed=True) == hashlib.sha256(b"head" + whole).hexdigest()
    assert path.read_bytes() == b"head" + whole


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="no such call here")
def test_without_direct_writes_full_chunks_leave_the_cache(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_such_flag(monkeypatch)
    calls: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: calls.append("sync"))
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: calls.append("drop"))
    write(path, content(2 * CHUNK + 4096))
    assert calls == ["sync", "drop"] * 2


@pytest.mark.parametrize("most", [1000, 4096, CHUNK - 512])
def test_short_writes_are_gone_on_with(
    path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(os, "write", lambda to, data: system_write(to, data[:most]))
    write(path, content(3 * CHUNK + 5))
    assert path.read_bytes() == content(3 * CHUNK + 5)


def full_after(count: int) -> Write:
    left = [count]

    def fail(descriptor: int, data: memoryview) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return system_write(descriptor, data)

    return fail


@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [5 * CHUNK + 1, 50 * CHUNK])
def test_a_full_disk_is_told_and_nothing_stays_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int, size: int
) -> None:
    monkeypatch.setattr(os, "write", full_after(chunks))
    before = open_things()
    with pytest.raises(OSError, match="No space") as caught:
        write(path, content(size), hashed=True)
    assert caught.value.errno == errno.ENOSPC
    assert open_things() == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_a_crash_nothing_stays_open(path: Path, error: type[BaseException]) -> None:
    before = open_things()

    def crash() -> None:
        with DirectWriter(path, hashed=True) as out:
            out.write(content(5 * CHUNK + 1))
            raise error

    with pytest.raises(error):
        crash()
    assert open_things() == before


def test_a_place_that_cannot_be_written_opens_nothing(tmp_path: Path) -> None:
    before = open_things()
    with pytest.raises(FileNotFoundError):
        DirectWriter(tmp_path / "missing" / "file")
    assert open_things() == before
