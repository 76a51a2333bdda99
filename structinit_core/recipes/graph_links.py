"""The links of a compilation: those compiled, and those held out to score on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from structinit_core.graph import (
    Graph,
    LeftOut,
    LinkSource,
    ReadFacts,
    numbered_like,
    read_graph,
    split_links,
)
from structinit_core.progress import Progress
from structinit_core.recipes.graph_job import GraphCompileJob


@dataclass(frozen=True)
class ReadLinks:
    """The graph that is compiled, the links held out of it, and what was read."""

    graph: Graph
    held_out: Graph | None
    left_out: LeftOut | None
    facts: ReadFacts


def read_links(job: GraphCompileJob, quarantine: Path | None, progress: Progress) -> ReadLinks:
    """The links of ``job``, those to be scored on apart."""
    graph, facts = read_graph(job.source, quarantine, progress)
    if job.holdout is None:
        return ReadLinks(graph, None, None, facts)
    if isinstance(job.holdout, float):
        rest, held_out = split_links(graph, job.holdout, job.seed)
        return ReadLinks(rest, held_out, None, facts)
    source = LinkSource(
        [job.holdout],
        columns=job.source.columns,
        max_bad=job.source.max_bad,
        memory_bytes=job.memory_bytes,
    )
    others, _ = read_graph(source, None, progress)
    known, left_out = numbered_like(others, graph)
    return ReadLinks(graph, known, left_out, facts)
