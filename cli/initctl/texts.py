"""Text arguments: paths as given, and ``-`` for stdin."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def text_paths(names: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths of ``names``; stdin is kept in a temporary file named ``stdin`` meanwhile.

    It is read twice (to train a tokenizer, then to count) and hashed, so it cannot stream.
    """
    if Path("-") not in names:
        yield list(names)
        return
    with tempfile.TemporaryDirectory(prefix="initctl-") as directory:
        spool = Path(directory) / "stdin"
        with spool.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        yield [spool if name == Path("-") else name for name in names]
