"""``initctl cooc``: text to exact counts, and counts to their sum."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.texts import text_paths

_OF_TEXT = (
    "tokenizer",
    "train_tokenizer",
    "shard",
    "cluster",
    "offsets",
    "holdout",
    "documents",
    "text_field",
    "seed",
)


def cooc(
    context: typer.Context,
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT", help=f"{o.TEXT_HELP} With --merge: counts."),
    ],
    output: o.Output,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add up counts, which are given in place of text.")
    ] = False,
    tokenizer: o.TokenizerFile = None,
    train_tokenizer: o.TrainTokenizer = None,
    shard: o.Shard = None,
    cluster: o.Cluster = None,
    offsets: o.Offsets = 5,
    min_count: o.MinCount = 1,
    holdout: o.Holdout = 0.02,
    documents: o.Border = o.Documents.BLANK,
    text_field: o.TextField = None,
    tokens: o.Tokens = None,
    seed: o.Seed = 0,
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """Count a text: exact n-gram counts, a tokenizer and a held-out slice, as one artifact.

    Example: initctl cooc book.txt.gz --train-tokenizer 2048 -o counts/

    On several machines, count shares and add them up: the sum is what one machine counts.

    Example: initctl cooc *.txt.gz --tokenizer tokenizer.json --shard 0/2 -o part0/

    Example: initctl cooc --merge part0/ part1/ -o counts/

    Example: initctl cooc *.txt.gz --tokenizer tokenizer.json --cluster tcp://host:8786 -o counts/
    """
    progress = TerminalProgress(quiet)
    if merge:
        _merge(context, texts, output, memory, min_count, force, plan, json, progress)
        return
    if cluster is not None:
        _refuse_with_cluster(context)
    from structinit_core.corpus import Border
    from structinit_core.recipes.cluster import count_on_cluster
    from structinit_core.recipes.count_forecast import forecast_counting
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.counting import count_corpus
    from structinit_core.recipes.merging import loss_by_pruning
    from structinit_core.recipes.record import bound

    with text_paths(texts) as paths, progress.running():
        source = CountSource(
            texts=paths,
            tokenizer=tokenizer,
            train_vocabulary=train_tokenizer,
            offsets=offsets,
            holdout=holdout,
            border=Border(documents.value),
            text_field=text_field,
            seed=seed,
            shard=shard,
            min_count=min_count,
        )
        if plan:
            print_json(forecast_counting(source, memory).model_dump(mode="json"))
            return
        count = (
            partial(count_corpus, tokens=tokens)
            if cluster is None
            else partial(count_on_cluster, cluster=cluster)
        )
        made = count(source, output, memory_bytes=memory, force=force, progress=progress)
        if made:
            progress.note(bound(output))
            if min_count > 1:
                progress.note(loss_by_pruning(output))
    print_published(output, made, json, progress)


def _refuse_with_cluster(context: typer.Context) -> None:

    o.refuse(context, ["shard"], "is one share of a text, and --cluster counts all of them")
    o.refuse(
        context, ["tokens"], "keeps one stream of ids, and with --cluster each shard has its own"
    )


def _merge(
    context: typer.Context,
    parts: list[Path],
    output: Path,
    memory: int,
    min_count: int,
    force: bool,
    plan: bool,
    json: bool,
    progress: TerminalProgress,
) -> None:
    from structinit_core.recipes.count_plan import plan_merging
    from structinit_core.recipes.merging import loss_by_pruning, merge_counts

    o.refuse(context, _OF_TEXT, "is of counting, and --merge adds up what is counted")
    if plan:
        print_json(plan_merging(parts, memory).model_dump(mode="json"))
        return
    with progress.running():
        made = merge_counts(
            parts,
            output,
            memory_bytes=memory,
            min_count=min_count,
            force=force,
            progress=progress,
        )
        if made and min_count > 1:
            progress.note(loss_by_pruning(output))
    print_published(output, made, json, progress)
