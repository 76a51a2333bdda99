"""``initctl diagnose``: what a checkpoint holds and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, show_report, stdout_console
from initctl.page import refuse_page, write_page
from initctl.texts import text_paths


def diagnose(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Checkpoint directory or .safetensors file.")
    ],
    counts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Counts to compare with; alone, score their held-out slice."
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VALID", help="Text to score on, in any format cooc reads; - is stdin."
        ),
    ] = None,
    documents: o.Border = o.Documents.BLANK,
    text_field: o.TextField = None,
    max_tokens: Annotated[
        int, typer.Option(min=2, help="Score about this many tokens, evenly spread.")
    ] = 1 << 20,
    device: o.Device = "auto",
    jobs: o.Jobs = None,
    html: o.Html = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Look into a checkpoint: shapes, NaN, norms, stable rank, and its loss before training.

    Ends with exit code 7 where a tensor holds NaN or infinity.

    Example: initctl diagnose out/ --counts counts/ --text valid.txt
    """
    from structinit_core.corpus import Border
    from structinit_core.recipes.diagnosing import DiagnoseJob, diagnose_checkpoint

    progress = TerminalProgress(quiet)
    with text_paths(text or []) as paths, progress.running():
        job = DiagnoseJob(
            path=path,
            counts=counts,
            texts=paths,
            border=Border(documents.value),
            text_field=text_field,
            max_tokens=max_tokens,
            device=device,
        )
        refuse_page(html, [path, *paths, *([counts] if counts else [])])
        report = diagnose_checkpoint(job, progress)
    write_page(html, report, {})
    if json:
        print_json(report.model_dump(mode="json", by_alias=True))
    else:
        show_report(stdout_console(), report)
    if report.failed:
        raise typer.Exit(7)
