"""``initctl graph-compile``: links to a transformer."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from initctl import options as o
from initctl.console import TerminalProgress, print_json, print_published
from initctl.page import show_published


class Family(StrEnum):
    """The library's families for graphs by name."""

    GPT2 = "gpt2"
    LLAMA = "llama"


class Published(StrEnum):
    """The library's published versions of the compiler by name."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"
    V4 = "v4"


class BareFaithful(TyperCommand):
    """A command whose ``--faithful`` may stand without a version."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the default version put where none follows."""
        after = [*args[1:], ""]
        for at in reversed(range(len(args))):
            bare = args[at] == "--faithful" and after[at] not in list(Published)
            if bare and "--" not in args[:at]:
                args = [*args[: at + 1], Published.V3, *args[at + 1 :]]
        return super().parse_args(ctx, args)


class FoldIn(StrEnum):
    """The library's ways of folding in by name."""

    SVD = "svd"
    NEIGHBOURS = "neighbours"


def graph_compile(
    links: Annotated[
        list[Path],
        typer.Argument(
            metavar="LINKS",
            help="CSV, TSV, JSONL, Parquet, .graph or plain triples; plain, gzip or zstd.",
        ),
    ],
    output: o.Output,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=NAME",
            help="Which field is a column: from, to, relation, neuron, amount, rating, valence, "
            "height, timestamp; numbers from 1 where there is no header.",
        ),
    ] = None,
    stakes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Stake of each neuron, weighs its links.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text of each particle, to show.")
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|FILE", help="Links to leave out and score on: a share, or a file."
        ),
    ] = None,
    also_true: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Other true links: they do not count against held-out ones."
        ),
    ] = None,
    max_bad: Annotated[
        float, typer.Option(min=0, metavar="N", help="Bad rows allowed: a share below 1, or rows.")
    ] = 0.01,
    family: Annotated[Family, typer.Option(help="Architecture of the network.")] = Family.GPT2,
    width: Annotated[
        int | None, typer.Option(min=1, metavar="D", show_default="by particles")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, metavar="L", show_default="by particles")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, metavar="H", show_default="by width, up to 8")
    ] = None,
    keys: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Queries stored, a feed-forward unit each.",
            show_default="the known ones and half as many",
        ),
    ] = None,
    paths: Annotated[
        bool,
        typer.Option("--paths/--no-paths", help="Store what relation paths predict, too."),
    ] = True,
    faithful: Annotated[
        Published | None,
        typer.Option(
            help="Build the formulas of a published version as written, for comparison: its "
            "family, sizes and flaws. Alone it is v3, which has a formula for every tensor.",
            show_default=False,
        ),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx beside, too.")] = False,
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="PREVIOUS",
            help="Go on from the checkpoint of fewer of these links; it may be OUT itself.",
        ),
    ] = None,
    full_beyond: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="X",
            help="Compile in full once focus has moved further since that was done, in L1 (0-2).",
        ),
    ] = 0.05,
    fold_in: Annotated[
        FoldIn, typer.Option(help="Codes of new particles: by the SVD, or their neighbours' mean.")
    ] = FoldIn.SVD,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    memory: o.Memory = "4G",  # type: ignore[assignment]
    jobs: o.Jobs = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    force: o.Force = False,
    plan: o.PlanOnly = False,
) -> None:
    """A graph of links as a language model: particles and relations are its tokens.

    Example: initctl graph-compile links.csv --labels names.tsv --holdout 0.02 -o graph/
    """
    from structinit_core.graph import KeyedFile, LinkSource
    from structinit_core.recipes.graph_compile import graph_compile as compile_into
    from structinit_core.recipes.graph_job import GraphCompileJob

    source = LinkSource(
        links,
        columns=dict(_pair(text) for text in column or ()),
        stakes=KeyedFile(stakes) if stakes else None,
        labels=KeyedFile(labels) if labels else None,
        max_bad=max_bad,
        memory_bytes=memory,
    )
    job = GraphCompileJob(
        source,
        holdout=_share_or_file(holdout),
        also_true=tuple(also_true or ()),
        family=family.value,
        width=width,
        layers=layers,
        heads=heads,
        keys=keys,
        predict=paths,
        faithful=faithful.value if faithful else None,
        onnx=onnx,
        since=since,
        full_beyond=full_beyond,
        fold_in=fold_in.value,
        seed=seed,
        device=device,
        memory_bytes=memory,
    )
    progress = TerminalProgress(quiet)
    if plan:
        from structinit_core.recipes.graph_plan import plan_graph

        with progress.running():
            forecast = plan_graph(job, progress)
        print_json(forecast.model_dump(mode="json"))
        return
    with progress.running():
        made = compile_into(job, output, force=force, progress=progress)
    show_published(output, progress)
    print_published(output, made, json, progress)


def _pair(text: str) -> tuple[str, str]:
    """The two sides of COLUMN=NAME."""
    column, equals, name = text.partition("=")
    if not equals or not column:
        raise typer.BadParameter(f"{text!r} is not COLUMN=NAME, such as from=head")
    return column, name


def _share_or_file(text: str | None) -> float | Path | None:
    """A share between 0 and 1 if the text is a number, else a path."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return Path(text)
