"""The links of a compilation: those compiled, and those held out to score on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.graph import (
    Focus,
    Graph,
    LeftOut,
    LinkSource,
    ReadFacts,
    numbered_like,
    read_graph,
    split_links,
)
from structinit_core.initializers.graph import GraphTokens
from structinit_core.progress import Progress
from structinit_core.recipes.graph_job import GraphCompileJob


@dataclass(frozen=True)
class ReadLinks:
    """The graph that is compiled, the links held out of it, others that are true, what was read."""

    graph: Graph
    held_out: Graph | None
    left_out: LeftOut | None
    also_true: tuple[Graph, ...]
    facts: ReadFacts


def read_links(job: GraphCompileJob, quarantine: Path | None, progress: Progress) -> ReadLinks:
    """The links of ``job``, those to be scored on apart."""
    graph, facts = read_graph(job.source, quarantine, progress)
    also_true = tuple(_others(job, path, graph, progress)[0] for path in job.also_true)
    if isinstance(job.holdout, Path):
        held_out, left_out = _others(job, job.holdout, graph, progress)
        return ReadLinks(graph, held_out, left_out, also_true, facts)
    if job.holdout is None:
        return ReadLinks(graph, None, None, also_true, facts)
    rest, held_out = split_links(graph, job.holdout, job.seed)
    return ReadLinks(rest, held_out, None, also_true, facts)


def _others(
    job: GraphCompileJob, path: Path, graph: Graph, progress: Progress
) -> tuple[Graph, LeftOut]:
    """The links of another file by the rows of ``graph``, and what it lacks."""
    source = LinkSource(
        [path],
        columns=job.source.columns,
        max_bad=job.source.max_bad,
        memory_bytes=job.memory_bytes,
    )
    return numbered_like(read_graph(source, None, progress)[0], graph)


def graph_values(read: ReadLinks, focus: Focus) -> dict[str, float | int | str | None]:
    """What every report says of the links that were read, and of the graph's focus."""
    graph, facts = read.graph, read.facts
    return {
        "particles": len(graph.particles),
        "links": len(graph),
        "relations": len(graph.relations),
        "vocabulary": GraphTokens(len(graph.relations), len(graph.particles)).vocabulary,
        "rows.read": facts.rows,
        "rows.bad": facts.bad,
        "rows.clipped": facts.clipped,
        "rows.duplicate": facts.duplicates,
        "focus.iterations": focus.iterations,
        "focus.residual": focus.residual,
        "focus.contraction": focus.contraction,
    }
