"""``initctl export``: a checkpoint in another form."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published

_OF_HF = ("max_shard_size",)
_OF_ONNX = ("past", "opset", "verify")


class Form(StrEnum):
    """The library's export formats by name."""

    HF = "hf"
    ONNX = "onnx"


class Number(StrEnum):
    """The dtypes an export may hold."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


def export(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CKPT", help="Hugging Face directory, or .safetensors file with --config."
        ),
    ],
    output: o.Output,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="hf: safetensors; onnx: a graph for onnxruntime.",
        ),
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
    past: Annotated[
        bool,
        typer.Option(help="Of onnx: take and give the keys and values of earlier positions."),
    ] = True,
    opset: Annotated[
        int,
        typer.Option(metavar="N", help="Of onnx: operator set, 17 to 23; 23 has Attention itself."),
    ] = 17,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Of onnx: hold onnxruntime's logits against transformers' first."
        ),
    ] = False,
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """Write a checkpoint, this program's or anyone's, in another form.

    Example: initctl export out/ --format onnx --verify -o onnx/
    """
    from structinit_core.recipes.exporting import (
        ExportFormat,
        ExportJob,
        export_checkpoint,
        plan_export,
    )

    other = _OF_HF if form is Form.ONNX else _OF_ONNX
    o.refuse(context, other, f"is not of --format {form.value}")
    job = ExportJob(
        path,
        ExportFormat(form.value),
        config=config,
        dtype=dtype.value if dtype else None,
        shard_bytes=max_shard_size,
        past=past,
        opset=opset,
        verify=verify,
    )
    if plan:
        print_json(plan_export(job).model_dump(mode="json"))
        return
    progress = TerminalProgress(quiet)
    with progress.running():
        made = export_checkpoint(job, output, force=force, progress=progress)
    print_published(output, made, json, progress)
