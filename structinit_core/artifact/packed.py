"""Files as streams of bytes, unpacked where their first bytes say gzip or zstd."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from structinit_core.errors import LimitError, MissingError

MAX_WINDOW_LOG = 27
"""zstd: a frame that asks to look back further than 2²⁷ bytes is refused, as its window would
have to be held in memory whole; ``zstd`` itself makes larger ones with ``--long`` only."""
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED_MAGIC = b"\x2a\x4d\x18"
_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


class DamagedError(Exception):
    """A packed file that breaks off or makes no sense; the message is the name of its format."""


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of ``path``, all members or frames of gzip or zstd one after the other.

    Memory: a buffer; for zstd at most 2 to the power :data:`MAX_WINDOW_LOG` bytes more.

    Raises:
        DamagedError: out of the ``with`` block, by what reads the stream.
        LimitError: a larger zstd window. MissingError: zstd, and no library for it.
    """
    with path.open("rb") as raw:
        head = raw.peek(4)[:4]
        if head[:2] == _GZIP_MAGIC:
            faults = (EOFError, gzip.BadGzipFile, zlib.error)
            with _damaged("gzip", faults), gzip.GzipFile(fileobj=raw, mode="rb") as stream:
                yield stream  # type: ignore[misc]
        elif _is_zstd(head):
            zstd = _zstd_library(path)
            options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
            with (
                _damaged("zstd", (EOFError, zstd.ZstdError)),
                _window_bound(path, zstd.ZstdError),
                zstd.ZstdFile(raw, "rb", options=options) as stream,
            ):
                yield stream
        else:
            yield raw


def _is_zstd(head: bytes) -> bool:
    """Whether a file begins with a frame, or with a skippable one as parallel packers do."""
    skippable = head[1:] == _ZSTD_SKIPPED_MAGIC and head[0] >> 4 == 5
    return head == _ZSTD_MAGIC or skippable


def _zstd_library(path: Path) -> Any:
    for name in _ZSTD_MODULES:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingError(
        "is zstd, and no library to read it is installed",
        where=str(path),
        hint='pip install "structinit[zst]"',
    )


@contextmanager
def _damaged(name: str, faults: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except faults as error:
        raise DamagedError(name) from error


@contextmanager
def _window_bound(path: Path, fault: type[Exception]) -> Iterator[None]:
    try:
        yield
    except fault as error:
        # the library has no class of its own for this refusal
        if "too much memory" not in str(error):
            raise
        raise LimitError(
            f"the zstd window is larger than {1 << MAX_WINDOW_LOG >> 20} MiB",
            where=str(path),
            hint="pack the file again without --long",
        ) from error
