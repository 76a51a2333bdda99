"""Files of links by their format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from structinit_core.errors import InputError
from structinit_core.graph.container import read_container
from structinit_core.graph.delimited import read_delimited
from structinit_core.graph.lines import opened_lines
from structinit_core.graph.parquet import read_parquet
from structinit_core.graph.quarantine import Quarantine
from structinit_core.graph.records import read_records
from structinit_core.graph.row_block import RowBlock

_BY_NAME = {
    ".csv": ",",
    ".tsv": "\t",
    ".tab": "\t",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".graph": "graph",
}


def read_rows(path: Path, columns: Mapping[str, str], bad: Quarantine) -> Iterator[RowBlock]:
    """The rows of ``path`` in blocks, as its format has them; bad ones go to ``bad``.

    By its name, before an optional ``.gz`` or ``.zst``: CSV, TSV (``.tsv``, ``.tab``), JSON lines
    (``.jsonl``, ``.ndjson``), Parquet or ``.graph``. A file of another name is what its first
    line looks like. All but Parquet may be packed by gzip or zstd, known by their first bytes.

    Raises:
        InputError: what the format's reader raises, or a first line of no known format.
    """
    form = format_of(path)
    if form == "parquet":
        return read_parquet(path, columns, bad)
    if form == "graph":
        return read_container(path, bad)
    if form == "json":
        return read_records(path, columns, bad)
    return read_delimited(path, form, columns, bad)


def format_of(path: Path) -> str:
    """``json``, ``parquet``, ``graph``, or the character between fields."""
    name = path.name.casefold().removesuffix(".gz").removesuffix(".zst")
    for ending, form in _BY_NAME.items():
        if name.endswith(ending):
            return form
    with opened_lines(path) as lines:
        while lines.fill():
            for line in lines.data[: lines.stop].tobytes().split(b"\n"):
                if line.startswith(b"PAR1"):
                    return "parquet"
                if line.lstrip().startswith(b"{"):
                    return "json"
                for delimiter in ("\t", ","):
                    if delimiter.encode() in line:
                        return delimiter
                if line.strip():
                    raise InputError(
                        "the first line has neither tabs nor commas nor braces",
                        where=str(path),
                        hint="give the file the ending of its format, such as .csv",
                    )
            lines.begin = lines.stop
    raise InputError("holds no row", where=str(path))
