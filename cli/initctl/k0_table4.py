"""``initctl race --preset k0-table4``: a race that brings its own network and text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from initctl.console import TerminalProgress, print_json, print_published, safe

if TYPE_CHECKING:
    from rich.console import Console

    from structinit_core.race.k0_table4_result import K0Table4Result
    from structinit_core.race.k0_table4_text import K0Table4Protocol


def race_k0_table4(
    output: Path,
    protocol: K0Table4Protocol,
    device: str,
    *,
    json: bool,
    quiet: bool,
    plan: bool,
) -> None:
    """Reproduce table 4 of the source of ``k0`` with the untrained control beside it."""
    from structinit_core.race.k0_table4 import RESULT, reproduce_k0_table4
    from structinit_core.race.k0_table4_result import K0Table4Result

    if plan:
        print_json(protocol.model_dump(mode="json"))
        return
    progress = TerminalProgress(quiet)
    with progress.running():
        made = reproduce_k0_table4(output, protocol, device=device, progress=progress)
    if progress.draws:
        known = (output / RESULT).read_text(encoding="utf-8")
        _show(progress.console, K0Table4Result.model_validate_json(known))
    print_published(output, made, json, progress, RESULT)


def _show(console: Console, result: K0Table4Result) -> None:
    """Means beside the untrained control, then the verdicts."""
    from rich.table import Table

    from structinit_core.race.k0_table4_result import MEASURES

    table = Table("start", "", *MEASURES.values(), "training loss")
    for arm in result.arms:
        for name, found in (("untrained", arm.untrained), ("trained", arm.trained)):
            loss = f"{arm.loss.mean:.3f}" if found is arm.trained else ""
            known = (found[key] for key in MEASURES)
            cells = ["–" if value is None else f"{value.mean:.3f}" for value in known]
            table.add_row(safe(arm.name), name, *cells, loss)
    console.print(table)
    for arm in result.arms:
        console.print(f"- [bold]{safe(arm.name)}[/]: {safe(arm.verdict)}", soft_wrap=True)
