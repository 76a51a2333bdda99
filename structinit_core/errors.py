"""The closed hierarchy of expected failures: each class carries its exit code."""

from __future__ import annotations

import errno
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a full disk, a quota, or a file that may not grow."""


class StructinitError(Exception):
    """An expected failure: one line saying what is wrong, where, and what to do.

    ``where`` is a ``file:line`` or a tensor name and is printed first; ``hint`` says what
    the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(f"{where}: {message}" if where else message)


class UsageError(StructinitError):
    """Options that contradict each other or are missing (exit code 2)."""

    exit_code = 2


class InputError(StructinitError):
    """A corpus, tokenizer or link file that cannot be used (exit code 3)."""

    exit_code = 3


class IncompatibleError(StructinitError):
    """An artifact or config of another kind, version or shape than needed (exit code 4)."""

    exit_code = 4


class NumericalError(StructinitError):
    """NaN, infinity or a failed factorisation (exit code 5)."""

    exit_code = 5


class LimitError(StructinitError):
    """A size beyond memory, disk or a stated bound (exit code 6)."""

    exit_code = 6


class MissingError(StructinitError):
    """A requested device or optional library that is not there (exit code 8)."""

    exit_code = 8


class LockedError(StructinitError):
    """The output is being written by another run (exit code 75, try again later)."""

    exit_code = 75


def no_space(where: Path) -> LimitError:
    """The error of a write that failed with one of :data:`NO_SPACE`."""
    return LimitError(
        "the disk is full, or a file may not grow so large",
        where=str(where),
        hint="free space there, or name an output on another disk",
    )
