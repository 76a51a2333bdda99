"""stdout carries the result; stderr progress, tables and warnings, mostly for a terminal."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from structinit_core.printable import printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from structinit_core.diagnose import Report


class TerminalProgress:
    """Progress drawn on a terminal's stderr; elsewhere only warnings are written."""

    def __init__(self, quiet: bool) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._task: TaskID | None = None
        self._bar: Any = None

    @contextmanager
    def running(self) -> Iterator[TerminalProgress]:
        """Draw until the end of the block; the bar is wiped on every exit."""
        if not self.draws:
            yield self
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        columns = (TextColumn("{task.description}"), BarColumn(), Elapsed(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as self._bar:
            yield self
        self._bar = None

    @property
    def draws(self) -> bool:
        """Whether anything but warnings is shown: on a terminal, unless quiet."""
        return not self._quiet and self.console.is_terminal

    def stage(self, name: str, total: int | None = None) -> None:
        """Show a new stage."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(safe(name), total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, steps)

    def warn(self, message: str) -> None:
        """Write a warning line, unless quiet."""
        if not self._quiet:
            self.console.print(f"initctl: warning: {safe(message)}", soft_wrap=True)

    def note(self, message: str) -> None:
        """Write a line on a terminal, unless quiet."""
        if self.draws:
            self.console.print(f"initctl: {safe(message)}", soft_wrap=True)

    def report(self, report: Report, seconds: dict[str, float] | None = None) -> None:
        """Show a report as tables, on a terminal only."""
        if self.draws:
            from initctl.report_table import show_report

            show_report(self.console, report, seconds)


def safe(text: str) -> str:
    """Untrusted text for rich: printable, and no markup."""
    return escape(printable(text))


def end_quietly_with_the_reader() -> None:
    """Let a closed pipe end the process as it ends other commands; all work is done."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    end_quietly_with_the_reader()
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_published(
    output: Path,
    made: bool,
    as_json: bool,
    progress: TerminalProgress,
    report: str = "report.json",
) -> None:
    """The published path on stdout, or one object that holds its report too."""
    if as_json:
        known = output / report
        content = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else None
        print_json({"output": str(output), "up_to_date": not made, "report": content})
        return
    if not made:
        progress.note(f"{output} is up to date")
    end_quietly_with_the_reader()
    sys.stdout.write(f"{output}\n")


def stdout_console() -> Console:
    """Tables on stdout: as wide as the terminal, or wide enough for any name in a pipe."""
    end_quietly_with_the_reader()
    return Console(highlight=False, width=None if sys.stdout.isatty() else 240)
