"""``graph-compile --plan``: what a graph is like, and what compiling it will take."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import make_blueprint
from structinit_core.graph.statistics import graph_statistics
from structinit_core.initializers.graph import GraphTokens
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.graph_compile import needed_bytes, shape_of
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_links import read_links


class PlannedStatistic(BaseModel):
    """One number of the graph; ``value`` is ``None`` where it does not exist."""

    model_config = ConfigDict(frozen=True)
    name: str
    value: float | int | None
    unit: str
    formula: str
    conditions: str


class GraphPlan(BaseModel):
    """The forecast of one compilation; bytes are upper estimates.

    ``suggested`` says what sizes the statistics suggest and why, and where those built differ.
    """

    model_config = ConfigDict(frozen=True)
    particles: int
    relations: int
    links: int
    rows_bad: int
    vocabulary: int
    family: str
    width: int
    layers: int
    heads: int
    feed_forward: int
    keys: int
    parameters: int
    memory_bytes: int
    disk_bytes: int
    fits: bool
    suggested: tuple[str, ...]
    statistics: tuple[PlannedStatistic, ...]


def plan_graph(job: GraphCompileJob, progress: Progress | None = None) -> GraphPlan:
    """The forecast of ``job`` and the statistics of its graph; reads all links, writes nothing.

    Raises:
        as :func:`~structinit_core.recipes.graph_compile.graph_compile` while it reads.
    """
    progress = progress or Silent()
    with TemporaryDirectory() as scratch:
        read = read_links(job, Path(scratch) / "quarantine.jsonl", progress)
    graph = read.graph
    progress.stage("statistics")
    found = graph_statistics(graph)
    tokens, shape = GraphTokens(len(graph.relations), len(graph.particles)), shape_of(job, graph)
    blueprint = make_blueprint(shape.config(tokens))
    needed = needed_bytes(blueprint)
    built = (
        f"built are d = {shape.width}, h = {shape.heads}, L = {shape.layers}: rows of tokens and "
        "answers of keys need more than the spectrum of the graph says, unless a size was asked for"
    )
    return GraphPlan(
        particles=len(graph.particles),
        relations=len(graph.relations),
        links=len(graph),
        rows_bad=read.facts.bad,
        vocabulary=tokens.vocabulary,
        family=shape.family,
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        feed_forward=blueprint.feed_forward,
        keys=shape.keys,
        parameters=blueprint.parameters,
        memory_bytes=needed,
        disk_bytes=4 * blueprint.parameters,
        fits=needed <= job.memory_bytes,
        suggested=(*found.suggestion.reasons, built),
        statistics=tuple(
            PlannedStatistic(
                name=each.name,
                value=each.value,
                unit=each.unit,
                formula=each.formula,
                conditions=each.conditions,
            )
            for each in found.statistics
        ),
    )
