"""``graph-compile --plan``: what a graph is like, and what compiling it will take."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import UsageError
from structinit_core.graph.statistics import graph_statistics
from structinit_core.initializers.graph import GraphTokens
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.graph_compile import known_keys, shape_of
from structinit_core.recipes.graph_forecast import GraphForecast, forecast
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


class GraphPlan(GraphForecast):
    """The forecast of one compilation, and the graph's statistics.

    ``suggested`` says what sizes they suggest and why, and what is built.
    """

    rows_bad: int
    suggested: tuple[str, ...]
    statistics: tuple[PlannedStatistic, ...]


def plan_graph(job: GraphCompileJob, progress: Progress | None = None) -> GraphPlan:
    """The forecast of ``job`` and the statistics of its graph; reads all links, writes nothing.

    Raises:
        UsageError: a checkpoint to go on from is named.
        as :func:`~structinit_core.recipes.graph_compile.graph_compile` while it reads.
    """
    if job.since is not None:
        raise UsageError("what is planned is a full compilation", hint="leave out --since")
    progress = progress or Silent()
    with TemporaryDirectory() as scratch:
        read = read_links(job, Path(scratch) / "quarantine.jsonl", progress)
    graph = read.graph
    progress.stage("statistics")
    found = graph_statistics(graph)
    tokens, shape = GraphTokens(len(graph.relations), len(graph.particles)), shape_of(job, graph)
    blueprint = make_blueprint(shape.config(tokens))
    expected = forecast(graph, shape, known_keys(graph), blueprint, job.memory_bytes)
    built = (
        f"built are d = {shape.width}, h = {shape.heads}, L = {shape.layers}: rows of tokens and "
        "answers of keys need more than the spectrum of the graph says, unless a size was asked for"
    )
    return GraphPlan(
        **expected.model_dump(),
        rows_bad=read.facts.bad,
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
