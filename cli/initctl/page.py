"""The report of what was published: on the terminal, and as the page of ``--html``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from structinit_core.errors import UsageError

if TYPE_CHECKING:
    from initctl.console import TerminalProgress
    from structinit_core.diagnose import Report


def refuse_page(page: Path | None, kept: Iterable[Path]) -> None:
    """Refuse, before any work, a page that could not be written or would change what is kept.

    ``kept`` are files that are read and directories that are published or read: neither they
    nor anything inside them is written to.

    Raises:
        UsageError: such a place, a directory or a device.
    """
    if page is None:
        return
    target = page.resolve()
    for path in map(Path.resolve, kept):
        if target.is_relative_to(path):
            raise UsageError(
                f"--html {str(page)!r} lies inside {str(path)!r}, which is not changed any more",
                hint="name a file outside of it",
            )
    blocked = any(above.exists() and not above.is_dir() for above in target.parents)
    if blocked or (target.exists() and not target.is_file()):
        raise UsageError(f"--html {str(page)!r} cannot be a file")


def write_page(page: Path | None, report: Report, seconds: dict[str, float]) -> None:
    """Publish the page of ``report`` at ``page``, where one is asked for."""
    if page is None:
        return
    from structinit_core.artifact import publish_text
    from structinit_core.diagnose import report_page

    publish_text(page, report_page(report, seconds))


def show_published(output: Path, progress: TerminalProgress, page: Path | None = None) -> None:
    """Show the report in ``output`` with the seconds of its run, and publish its page."""
    if page is None and not progress.draws:
        return
    from structinit_core.diagnose import Report

    report, run = Report.read(output), output / "run.json"
    seconds = json.loads(run.read_text(encoding="utf-8"))["seconds"] if run.is_file() else {}
    write_page(page, report, seconds)
    progress.report(report, seconds)
