"""``initctl diagnose``: what a checkpoint holds, how it differs, and what it scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, stdout_console
from initctl.page import refuse_page, write_page
from initctl.report_table import show_report
from initctl.texts import text_paths


def diagnose(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Checkpoint directory or .safetensors file.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="config.json of a model that has none beside it; the tokenizer lies there too.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Another checkpoint, to compare tensor by tensor."),
    ] = None,
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
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Exit with 7 where this holds, such as 'norm.max>1e3', 'rms[attn_q].mean<0.01' "
            "or 'alpha<2'; may be repeated.",
        ),
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of such rules: fail = [...], warn = [...]."),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Look at tensors only; do not run the model.")
    ] = False,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    html: o.Html = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Look into a checkpoint: values, spectra, heads, and what the model does before training.

    With a config of a known family the model is also run: activations, attention, gradients
    and logits of one batch of TEXT, or of drawn tokens where there is no text.

    Ends with exit code 7 where a tensor holds NaN or infinity, or a rule of --fail-on holds.

    Example: initctl diagnose out/ --counts counts/ --text valid.txt --fail-on 'norm.max>1e3'
    """
    from structinit_core.corpus import Border
    from structinit_core.diagnose import parse_rule, read_rules
    from structinit_core.recipes.diagnose_job import DiagnoseJob
    from structinit_core.recipes.diagnosing import diagnose_checkpoint

    rules = [parse_rule(text) for text in fail_on or []]
    rules += read_rules(thresholds) if thresholds else []
    progress = TerminalProgress(quiet)
    with text_paths(text or []) as paths, progress.running():
        job = DiagnoseJob(
            path=path,
            config=config,
            against=against,
            counts=counts,
            texts=paths,
            border=Border(documents.value),
            text_field=text_field,
            max_tokens=max_tokens,
            rules=rules,
            dynamic=not static,
            seed=seed,
            device=device,
            memory_bytes=memory,
        )
        read = [kept for kept in (path, config, against, counts, thresholds) if kept is not None]
        refuse_page(html, [*read, *paths])
        report = diagnose_checkpoint(job, progress)
    write_page(html, report, {})
    if json:
        print_json(report.model_dump(mode="json", by_alias=True))
    else:
        show_report(stdout_console(), report)
    if report.failed:
        raise typer.Exit(7)
