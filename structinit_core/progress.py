"""How long work tells its caller where it stands; the core itself never prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress: the command line draws it, tests record it."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage of ``total`` steps (``None``: unknown); it ends the one before."""

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` done in the current stage."""

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the run."""


class Silent:
    """A progress receiver that ignores everything: the default of every function."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore the stage."""

    def advance(self, steps: int = 1) -> None:
        """Ignore the steps."""

    def warn(self, message: str) -> None:
        """Ignore the message."""
