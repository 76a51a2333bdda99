"""Link lists to a graph: one public function from files to numbered, weighted links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from structinit_core.errors import UsageError
from structinit_core.graph.columns import check_columns
from structinit_core.graph.formats import read_rows
from structinit_core.graph.graph import UNTYPED, Graph
from structinit_core.graph.keyed import KeyedFile, read_stakes
from structinit_core.graph.labels import read_labels
from structinit_core.graph.quarantine import check_max_bad, quarantined
from structinit_core.graph.semcons import discover_semcons
from structinit_core.graph.tables import Tables
from structinit_core.progress import Progress, Silent


@dataclass(frozen=True)
class LinkSource:
    """What to read, and how.

    paths: files read one after the other as one list. columns: which field is which column,
    see :func:`structinit_core.graph.columns.layout_of`. max_bad: the most bad rows, a share
    of all rows below 1, else a number. memory_bytes: of the tables that are built.
    """

    paths: Sequence[Path]
    columns: Mapping[str, str] = field(default_factory=dict)
    stakes: KeyedFile | None = None
    labels: KeyedFile | None = None
    max_bad: float = 0.01
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class ReadFacts:
    """What was read.

    files: name and rows of each. rows: all of them. bad: set aside. clipped: said nothing
    positive. duplicates: said what a row before had said. unknown_neurons: without a known stake
    above 0, where stakes are given. semcons: relations found in labelling links.
    """

    files: tuple[tuple[str, int], ...]
    rows: int
    bad: int
    clipped: int
    duplicates: int
    unknown_neurons: int
    semcons: int


def read_graph(
    source: LinkSource, quarantine: Path | None = None, progress: Progress | None = None
) -> tuple[Graph, ReadFacts]:
    """The graph of a link list, and what was read.

    Particles, relations and neurons are numbered in the order of first appearance, subject
    before object: reading more rows after these gives the same rows to all names. Links are
    distinct by subject, relation and object, with the sum of their rows' weights. Where no row
    has a relation, links that label links give some, see :func:`discover_semcons`. Bad rows are
    written to ``quarantine`` as JSON lines: file, line, reason, row. Cost: O(rows). Source: ours,
    weights as in seed 000.

    Raises:
        UsageError: no file, an unknown column, or a limit that is none.
        InputError: a file that cannot be read or has no known columns, too many bad rows, no link.
        LimitError: more than ``memory_bytes`` of tables.
        MissingError: a zstd file, and no library to read it.
    """
    progress = progress or Silent()
    check_columns(source.columns)
    check_max_bad(source.max_bad)
    if not source.paths:
        raise UsageError("no links to read")
    stakes = read_stakes(source.stakes) if source.stakes else None
    tables = Tables(stakes, source.memory_bytes)
    with quarantined(quarantine) as bad:
        files: list[tuple[str, int]] = []
        for path in source.paths:
            progress.stage(f"reading {path.name}")
            before = tables.rows + bad.count
            for block in read_rows(path, source.columns, bad):
                tables.add(block)
                progress.advance(len(block))
            files.append((path.name, tables.rows + bad.count - before))
        rows = tables.rows + bad.count
        bad.check(rows, source.max_bad)
        graph = tables.graph()
    found = graph
    if list(graph.relations) == [UNTYPED]:
        progress.stage("looking for semcons")
        found = discover_semcons(graph)
    if source.labels:
        progress.stage("reading labels")
        found = replace(found, labels=read_labels(source.labels, graph.particles))
    facts = ReadFacts(
        files=tuple(files),
        rows=rows,
        bad=bad.count,
        clipped=tables.clipped,
        duplicates=tables.rows - tables.clipped - len(graph),
        unknown_neurons=tables.unknown_neurons,
        semcons=len(found.relations) - len(graph.relations),
    )
    return found, facts
