"""Bad rows set aside: written down with file, line and reason, and refused beyond a limit."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from structinit_core.errors import NO_SPACE, InputError, UsageError, no_space

_SHOWN = 200
"""Characters of a row that are written down."""


def check_max_bad(max_bad: float) -> None:
    """Refuse a limit that is none.

    Raises:
        UsageError: below 0, not a number, or above 1 and not whole.
    """
    if not max_bad >= 0 or (max_bad > 1 and max_bad != int(max_bad)):
        raise UsageError(
            f"{max_bad} is no limit of bad rows", hint="a share such as 0.01, or a whole number"
        )


@dataclass
class Quarantine:
    """Counts bad rows and writes them to a stream of JSON lines, if there is one.

    ``count``: bad rows so far; the first is kept for the error.
    """

    stream: IO[str] | None
    path: Path | None
    count: int = 0
    _first: tuple[str, str] = ("", "")

    def add(self, path: Path, line: int, reason: str, row: str) -> None:
        """Note a bad row: its text escaped and cut."""
        if not self.count:
            self._first = (f"{path}:{line}", reason)
        self.count += 1
        if self.stream:
            text = row if len(row) <= _SHOWN else row[:_SHOWN] + "…"
            entry = {"file": path.name, "line": line, "reason": reason, "row": text}
            with _writing(self.path):
                self.stream.write(json.dumps(entry) + "\n")

    def check(self, rows: int, max_bad: float) -> None:
        """Refuse more bad rows than the limit: below 1 a share of ``rows``, else a number.

        Raises:
            InputError: there are more.
        """
        if self.count > (max_bad * rows if max_bad < 1 else max_bad):
            limit = f"{max_bad:.3g} of them" if max_bad < 1 else f"{int(max_bad):,}"
            where, reason = self._first
            seen = f"see {self.path}" if self.path else "have them written to a quarantine file"
            raise InputError(
                f"{reason}: the first of {self.count:,} bad among {rows:,} rows (limit: {limit})",
                where=where,
                hint=f"{seen}, or raise the limit with --max-bad",
            )


@contextmanager
def quarantined(path: Path | None) -> Iterator[Quarantine]:
    """A quarantine whose file is published on every exit by an expected failure or none.

    Raises:
        LimitError: the disk is full. InputError: the place cannot be written.
    """
    if path is None:
        yield Quarantine(None, None)
        return
    unfinished = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}")
    try:
        with _writing(path):
            stream = unfinished.open("x", encoding="ascii", newline="\n")
        with stream:
            try:
                yield Quarantine(stream, path)
            except InputError:
                with _writing(path):
                    stream.flush()
                    unfinished.replace(path)
                raise
        with _writing(path):
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path | None) -> Iterator[None]:
    """Faults of the file system as errors that name the file."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(path or Path()) from error
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error
