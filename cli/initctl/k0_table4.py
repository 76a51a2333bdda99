"""``initctl race --preset k0-table4``: a race that brings its own network and text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from initctl import options as o
from initctl.console import TerminalProgress, end_quietly_with_the_reader, print_json, safe

if TYPE_CHECKING:
    from rich.console import Console

    from structinit_core.race.k0_table4_result import K0Table4Result

_OURS = ("output", "preset", "seed", "seeds", "steps", "device", "jobs", "json", "quiet", "plan")


def race_k0_table4(
    context: typer.Context,
    output: Path,
    chosen: dict[str, int | None],
    device: str,
    *,
    json: bool,
    quiet: bool,
    plan: bool,
) -> None:
    """Reproduce table 4 of the source of ``k0`` with the untrained control beside it.

    ``chosen``: fields of the protocol that were given. Every option of other presets is refused.
    """
    from structinit_core.errors import UsageError
    from structinit_core.race.k0_table4 import RESULT, K0Table4Protocol, reproduce_k0_table4
    from structinit_core.race.k0_table4_result import K0Table4Result

    if ignored := o.given(context, *(context.params.keys() - set(_OURS))):
        raise UsageError(f"{ignored[0]} is not of --preset k0-table4, which has its own network")
    given = {name: value for name, value in chosen.items() if value is not None}
    protocol = K0Table4Protocol(**given)
    if plan:
        print_json(protocol.model_dump(mode="json"))
        return
    progress = TerminalProgress(quiet)
    with progress.running():
        made = reproduce_k0_table4(output, protocol, device=device, progress=progress)
    result = K0Table4Result.model_validate_json((output / RESULT).read_text(encoding="utf-8"))
    if progress.draws:
        _show(progress.console, result)
    if json:
        content = result.model_dump(mode="json", by_alias=True)
        print_json({"output": str(output), "up_to_date": not made, "report": content})
        return
    if not made:
        progress.note(f"{output} is up to date")
    end_quietly_with_the_reader()
    typer.echo(str(output))


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
