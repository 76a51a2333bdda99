"""``initctl cooc``: text to exact counts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.texts import text_paths


def cooc(
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT", help=o.TEXT_HELP),
    ],
    output: o.Output,
    tokenizer: o.TokenizerFile = None,
    train_tokenizer: o.TrainTokenizer = None,
    offsets: o.Offsets = 5,
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
    """
    from structinit_core.corpus import Border
    from structinit_core.recipes.count_plan import plan_counting
    from structinit_core.recipes.counting import CountSource, count_corpus
    from structinit_core.recipes.record import bound

    progress = TerminalProgress(quiet)
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
        )
        if plan:
            print_json(plan_counting(paths, offsets, memory).model_dump(mode="json"))
            return
        made = count_corpus(
            source,
            output,
            tokens=tokens,
            memory_bytes=memory,
            force=force,
            progress=progress,
        )
        if made:
            progress.note(bound(output))
    print_published(output, made, json, progress)
