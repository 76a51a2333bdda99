"""``initctl export``: a checkpoint in another form."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_published


class Form(StrEnum):
    """The library's export formats by name."""

    HF = "hf"


class Number(StrEnum):
    """The dtypes an export may hold."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


def export(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CKPT", help="Hugging Face directory, or .safetensors file with --config."
        ),
    ],
    output: o.Output,
    form: Annotated[
        Form, typer.Option("--format", help="hf: safetensors with config and tokenizer.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG", help="Hugging Face config.json of the model, not the checkpoint's."
        ),
    ] = None,
    dtype: Annotated[
        Number | None,
        typer.Option(help="Numbers to write.", show_default="the checkpoint's"),
    ] = None,
    max_shard_size: o.ShardSize = "5G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
) -> None:
    """Write a checkpoint, this program's or anyone's, in another form.

    Example: initctl export out/ --format hf --dtype bfloat16 -o small/
    """
    from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint

    job = ExportJob(
        path,
        ExportFormat(form.value),
        config=config,
        dtype=dtype.value if dtype else None,
        shard_bytes=max_shard_size,
    )
    progress = TerminalProgress(quiet)
    with progress.running():
        made = export_checkpoint(job, output, force=force, progress=progress)
    print_published(output, made, json, progress)
