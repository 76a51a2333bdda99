"""Options shared by the commands; nothing heavy is imported here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

TEXT_HELP = "Text, JSONL or Parquet; plain, gzip or zstd; globs; - is stdin."
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class Documents(StrEnum):
    """The library's document borders by name."""

    BLANK = "blank"
    TITLE = "title"
    LINE = "line"
    FILE = "file"


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``512M`` or ``4G``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 512M or 4G")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size < 1 << 20:
        raise typer.BadParameter("less than 1M is not enough for anything")
    return size


def parse_shard(text: str) -> tuple[int, int]:
    """The two numbers of a shard such as ``0/4``."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a shard such as 0/4")
    return int(match[1]), int(match[2])


def given(context: typer.Context, *names: str) -> list[str]:
    """The options among ``names`` that the user wrote, as they are written."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [
        f"--{name.replace('_', '-')}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse the first of the options ``names`` that the user wrote: ``--option why``."""
    from structinit_core.errors import UsageError

    for option in given(context, *names):
        raise UsageError(f"{option} {why}")


def set_jobs(jobs: int | None) -> int | None:
    """Bound every library's threads; only possible before one of them is loaded."""
    if jobs is not None:
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(jobs)
    return jobs


Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="OUT", help="Directory to publish.")
]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.", min=0, max=2**63 - 1)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda[:n].")]
Memory = Annotated[
    int,
    typer.Option(
        parser=parse_memory, metavar="SIZE", help="Bound of the working set, such as 512M or 4G."
    ),
]
ShardSize = Annotated[
    int,
    typer.Option(
        "--max-shard-size",
        parser=parse_memory,
        metavar="SIZE",
        help="Above this the weights are written as shards and an index.",
    ),
]
Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="DIR",
        help="Keep the token ids here, for the next count of the same text and tokenizer.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, callback=set_jobs, help="Threads.", show_default="all cores", metavar="N"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the report as one HTML page, with pictures."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace an output that this program did not make.")
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print sizes, memory and disk forecast; write nothing.")
]
TokenizerFile = Annotated[
    Path | None, typer.Option("--tokenizer", metavar="FILE", help="A tokenizer.json to use.")
]
TrainTokenizer = Annotated[
    int | None,
    typer.Option(metavar="V", min=257, help="Train a byte-level BPE of V tokens on the text."),
]
Offsets = Annotated[int, typer.Option(min=1, max=255, help="Count offsets 1 to this.")]
Holdout = Annotated[
    float, typer.Option(min=0.0, max=0.5, help="Share of documents that enter no count.")
]
MinCount = Annotated[
    int,
    typer.Option(
        min=1, help="Drop pairs and trigrams that occur less often; what is lost is reported."
    ),
]
Shard = Annotated[
    # typer takes one value for a tuple only where it does not know that it is one
    Any,
    typer.Option(
        parser=parse_shard,
        metavar="I/N",
        help="Count only share I, from 0, of N shares of the documents; --merge adds them up.",
        show_default=False,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Count on the Dask cluster with this scheduler, such as tcp://host:8786, or on "
        "local:N, N processes here. All workers must see the files under the same paths; "
        "--memory is for each, and --plan is of one machine.",
        show_default=False,
    ),
]
Border = Annotated[
    Documents,
    typer.Option(
        "--documents",
        help="Where documents of plain text begin: after a blank line, at a '= Title =' line, "
        "at every line, or with the file.",
    ),
]
TextField = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Read every file as JSONL with the text in this field, .parquet from this column. "
        "Files named .jsonl or .ndjson are JSONL anyway, with the field 'text'.",
        show_default=False,
    ),
]
