"""``initctl closed-form``: text or counts to a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.page import refuse_page, show_published
from initctl.texts import text_paths

if TYPE_CHECKING:
    from pydantic import BaseModel

_OF_COUNTING = ("tokenizer", "train_tokenizer", "offsets", "holdout")
_OF_TEXT = ("documents", "text_field")
_OF_NGRAM = ("counts", "offsets", "stages", "without", "max_shard_size")


class Method(StrEnum):
    """What is solved."""

    NGRAM = "ngram"
    PAIRED_VIEWS = "paired-views"


def closed_form(
    context: typer.Context,
    output: o.Output,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            help="Hugging Face config.json of the model. For paired-views, where it may be left "
            "out, one of model_type paired_views.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="ngram: a language model from counts. paired-views: the encoder of seed 002 from "
            "two masked views of text windows, its flaws in the report; no Hugging Face model."
        ),
    ] = Method.NGRAM,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="TEXT", help=o.TEXT_HELP),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="TEXT", help="More corpus files.")
    ] = None,
    tokenizer: o.TokenizerFile = None,
    train_tokenizer: o.TrainTokenizer = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Counts made by initctl cooc; text beside them is not counted again, and the "
            "offsets are fitted on it.",
        ),
    ] = None,
    offsets: o.Offsets = 5,
    holdout: o.Holdout = 0.02,
    documents: o.Border = o.Documents.BLANK,
    text_field: o.TextField = None,
    stages: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Stages to try, by commas: bigram, offsets, copy, readouts."
        ),
    ] = "bigram,offsets,copy",
    without: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Stages to leave out, by commas.")
    ] = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    max_shard_size: o.ShardSize = "5G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    html: o.Html = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """Compile a language model by counting and solving, without gradient descent on text.

    Example: initctl closed-form --config config.json --corpus book.txt.gz
    --train-tokenizer 2048 -o out/
    """
    from structinit_core.corpus import Border
    from structinit_core.errors import UsageError
    from structinit_core.initializers.closed_form import chosen_stages
    from structinit_core.recipes.compile_job import ClosedFormJob
    from structinit_core.recipes.compiling import closed_form as compile_into
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.paired_views import (
        PairedViewsJob,
        fit_paired_views,
        plan_paired_views,
    )
    from structinit_core.recipes.solve_plan import plan as forecast

    if method is Method.PAIRED_VIEWS:
        o.refuse(context, _OF_NGRAM, "is not of --method paired-views")
    if counts is not None:
        o.refuse(context, _OF_COUNTING, "is of counting, and --counts are counted already")
    chosen = chosen_stages(stages.split(","), without.split(",") if without else [])
    progress = TerminalProgress(quiet)
    with text_paths([*(corpus or []), *(more or [])]) as paths:
        source = None
        if not paths:
            o.refuse(context, _OF_TEXT, "is of text, and none is given")
        if paths or counts is None:
            source = CountSource(
                texts=paths,
                tokenizer=tokenizer if counts is None else counts / "tokenizer.json",
                train_vocabulary=train_tokenizer,
                offsets=offsets,
                holdout=holdout,
                border=Border(documents.value),
                text_field=text_field,
                seed=seed,
            )
        job: ClosedFormJob | PairedViewsJob
        planned: Callable[[], BaseModel]
        published: Callable[..., bool]
        if method is Method.PAIRED_VIEWS and source is not None:
            job = PairedViewsJob(source, config, seed, device, memory)
            planned, published = partial(plan_paired_views, job), partial(fit_paired_views, job)
        elif config is None:
            raise UsageError("Missing option '--config'", hint="it is the config.json of the model")
        else:
            job = ClosedFormJob(
                config, source, counts, seed, device, memory, max_shard_size, chosen
            )
            planned, published = partial(forecast, job), partial(compile_into, job)
        if plan:
            print_json(planned().model_dump(mode="json"))
            return
        refuse_page(html, [output, *job.paths()])
        with progress.running():
            made = published(output, force=force, progress=progress)
    show_published(output, progress, html)
    print_published(output, made, json, progress)
