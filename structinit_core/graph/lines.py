"""Files as buffers of bytes that are filled and used up from the front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import DamagedError, unpacked
from structinit_core.errors import InputError, LimitError

MAX_LINE_BYTES = 1 << 24
"""A longer line is refused: it would have to be held in memory whole."""
_CHUNK_BYTES = 1 << 20
"""Small enough to be read twice from the processor's cache."""
_STRIDE = 1 << 12
_BOM = b"\xef\xbb\xbf"


class LineBuffer:
    """Whole lines of a stream: ``data[begin:stop]``, ended by a newline even at the stream's end.

    ``begin`` is moved by the reader, and ``number`` counts the lines it has used. Memory:
    1 MiB, more where a line is longer.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._filled = 0
        self.data: NDArray[np.uint8] = np.empty(_CHUNK_BYTES + 1, np.uint8)
        self.begin = self.stop = self.number = 0
        self.ended = False

    def fill(self) -> bool:
        """Read on, what is left first; whether there is a line.

        Raises:
            LimitError: a line over :data:`MAX_LINE_BYTES`.
        """
        first = not self._filled
        left = self.data[self.begin : self._filled]
        if len(left) > len(self.data) // 2:
            if len(left) > MAX_LINE_BYTES:
                raise LimitError(
                    f"line is longer than {MAX_LINE_BYTES >> 20} MiB",
                    where=f"{self._path}:{self.number + 1}",
                )
            self.data = np.empty(2 * len(self.data), np.uint8)
        self.data[: len(left)] = left.copy()
        self.begin, self._filled = 0, len(left)
        while self._filled < len(self.data) - 1 and not self.ended:
            room = self.data[self._filled : -1].data
            count = self._stream.readinto(room)  # type: ignore[attr-defined]
            self._filled += count
            self.ended = not count
        if first and self.data[: min(3, self._filled)].tobytes() == _BOM:
            self.begin = 3
        if self.ended and self._filled > self.begin and self.data[self._filled - 1] != ord("\n"):
            self.data[self._filled] = ord("\n")
            self._filled += 1
        self.stop = self._last_line_end()
        if self.stop == self.begin and not self.ended:
            return self.fill()
        return self.stop > self.begin

    def _last_line_end(self) -> int:
        for high in range(self._filled, self.begin, -_STRIDE):
            low = max(self.begin, high - _STRIDE)
            found = np.flatnonzero(self.data[low:high] == ord("\n"))
            if len(found):
                return low + int(found[-1]) + 1
        return self.begin


@contextmanager
def opened_lines(path: Path) -> Iterator[LineBuffer]:
    """The lines of ``path``, plain or packed by gzip or zstd; faults name it and the last line.

    Raises:
        InputError: the file cannot be read, or is damaged.
        LimitError: a zstd window over 128 MiB. MissingError: zstd, and no library to read it.
    """
    number = 0
    try:
        with unpacked(path) as stream:
            lines = LineBuffer(stream, path)
            try:
                yield lines
            finally:
                number = lines.number
    except DamagedError as error:
        raise InputError(
            f"damaged or truncated {error} after this line", where=f"{path}:{number}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of ``path`` without their ends.

    Raises:
        InputError: as :func:`opened_lines`; invalid UTF-8.
    """
    with opened_lines(path) as lines:
        while lines.fill():
            raw = lines.data[lines.begin : lines.stop].tobytes()
            lines.begin = lines.stop
            for line in raw.removesuffix(b"\n").split(b"\n"):
                lines.number += 1
                try:
                    yield lines.number, line.removesuffix(b"\r").decode()
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"invalid UTF-8 at byte {error.start} of the line",
                        where=f"{path}:{lines.number}",
                        hint="convert the file to UTF-8, for example with iconv",
                    ) from error
