"""``initctl query``: what a compiled graph expects next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, safe, stdout_console
from structinit_core.printable import shortened

if TYPE_CHECKING:
    from rich.table import Table

    from structinit_core.recipes.querying import Continuation, Named


def query(
    path: Annotated[
        Path, typer.Argument(metavar="CKPT", help="Directory that graph-compile published.")
    ],
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A particle, by its id or its label.")
    ],
    relation: Annotated[
        str | None,
        typer.Argument(
            metavar="RELATION",
            help="Show what this relation leads to; without it, relations and neighbours.",
            show_default=False,
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="Ask the relation the other way round.")
    ] = False,
    top: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Show this many of each kind.")
    ] = 10,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Ask a compiled graph what follows a particle, or a particle and a relation.

    Shares are of all tokens of the model.

    Example: initctl query out/ dog hypernym --top 5
    """
    from structinit_core.recipes.querying import QueryJob, query_graph

    job = QueryJob(path, subject, relation, inverse, top, device, memory)
    progress = TerminalProgress(quiet)
    with progress.running():
        answer = query_graph(job, progress)
    if json:
        print_json(answer.model_dump(mode="json"))
        return
    console = stdout_console()
    asked = _text(answer.subject)
    if answer.relation is None:
        console.print(_table(f"relations of {asked}", answer.relations))
        console.print(_table(f"neighbours of {asked}", answer.particles))
    else:
        console.print(_table(f"{asked} · {_text(answer.relation)}", answer.particles))


def _text(named: Named) -> str:
    return shortened(named.label or named.id)


def _table(title: str, found: Sequence[Continuation]) -> Table:
    from rich.table import Table

    table = Table(title=safe(title), title_justify="left")
    table.add_column("", justify="right")
    table.add_column("name", no_wrap=True, overflow="ellipsis")
    labelled = any(one.label for one in found)
    if labelled:
        table.add_column("id", no_wrap=True, overflow="ellipsis")
    table.add_column("probability", justify="right", no_wrap=True)
    for place, one in enumerate(found, 1):
        beside = [safe(shortened(one.id))] if labelled else []
        table.add_row(str(place), safe(_text(one)), *beside, f"{one.probability:.4g}")
    return table
