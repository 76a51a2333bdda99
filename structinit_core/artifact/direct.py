"""Large files written from front to back at the speed of the disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_CHUNK_BYTES = 4 << 20
"""A multiple of every block size, so that each chunk but the last may bypass the page cache."""
_DIRECT: int = getattr(os, "O_DIRECT", 0)


class DirectWriter:
    """Writes a new file past the page cache, and its sha256 if ``hashed``.

    A context manager. Bytes gather in two buffers of 4 MiB: while one fills, a thread writes the
    other and, if asked, a second thread hashes it. Full buffers bypass the page cache
    (``O_DIRECT``) where the file system lets them; elsewhere they are synced and dropped from
    it. What is left at the end, which is all of a small file, is written ordinarily. The file is
    not synced: publication does that. After an error no thread and no descriptor is left open,
    and the file is unfinished. Memory: 8 MiB.
    """

    def __init__(self, path: Path, *, hashed: bool = False) -> None:
        self._front, self._back, self._filled = _buffer(), _buffer(), 0
        self._file = path.open("wb", buffering=0)
        self._bypassing = self._bypass(True)
        self._hash = hashlib.sha256() if hashed else None
        sinks: list[Callable[[memoryview], None]] = [self._put]
        if self._hash:
            sinks.append(self._hash.update)
        self._sinks = [(sink, ThreadPoolExecutor(max_workers=1)) for sink in sinks]
        self._under_way: list[Future[None]] = []

    @property
    def sha256(self) -> str | None:
        """The file's hash as 64 hex digits once it is closed; ``None`` unless ``hashed``."""
        return self._hash.hexdigest() if self._hash else None

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; they are copied before this returns.

        Raises:
            OSError: these, or bytes given earlier, could not be written.
        """
        rest = memoryview(data)
        while len(rest):
            taken = min(len(rest), len(self._front) - self._filled)
            self._front[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            if self._filled == len(self._front):
                self._hand_over()

    def __enter__(self) -> DirectWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._wait()
                self._bypassing = self._bypass(False)
                for sink, _ in self._sinks:
                    sink(self._front[: self._filled])
        finally:
            for _, worker in self._sinks:
                worker.shutdown(cancel_futures=True)
            self._file.close()

    def _hand_over(self) -> None:
        """Give the full buffer to every sink; go on in the other one once that is free."""
        given = [worker.submit(sink, self._front) for sink, worker in self._sinks]
        self._wait()
        self._under_way = given
        self._front, self._back, self._filled = self._back, self._front, 0

    def _wait(self) -> None:
        for future in self._under_way:
            future.result()

    def _put(self, data: memoryview) -> None:
        whole = len(data) == _CHUNK_BYTES
        while len(data):
            try:
                data = data[os.write(self._file.fileno(), data) :]
            except OSError as error:
                # Refused by the file system, or the last write ended inside a block.
                if error.errno != errno.EINVAL or not self._bypassing:
                    raise
                self._bypassing = self._bypass(False)
        if whole and not self._bypassing:
            self._recycle()

    def _recycle(self) -> None:
        """Give the page cache back: fresh pages are dear, and others may need them."""
        if hasattr(os, "fdatasync") and hasattr(os, "posix_fadvise"):
            os.fdatasync(self._file.fileno())
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _bypass(self, wanted: bool) -> bool:
        """Whether the page cache is bypassed from now on."""
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL) & ~_DIRECT
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | (_DIRECT if wanted else 0))
        except OSError:
            return False
        return wanted and _DIRECT != 0


def _buffer() -> memoryview:
    """A chunk of aligned memory, in huge pages if there are any: the kernel pins every page."""
    memory = mmap.mmap(-1, _CHUNK_BYTES, flags=mmap.MAP_PRIVATE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)
