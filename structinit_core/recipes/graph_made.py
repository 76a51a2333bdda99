"""What a compilation of links makes, in full or from an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, TensorSpec, make_blueprint
from structinit_core.graph import Focus, Graph, PathModel, PathOptions, directed, fit_paths
from structinit_core.initializers.graph import (
    Answered,
    GraphShape,
    GraphTokens,
    Kept,
    Keys,
    at_home,
    choose_keys,
    compile_graph,
    crowded,
    divide_graph,
    earlier_factors,
    grow,
)
from structinit_core.linalg import Device
from structinit_core.progress import Progress
from structinit_core.recipes.graph_growth import Since
from structinit_core.recipes.graph_job import GraphCompileJob

_LARGE = 1 << 18
_FEW_PATHS = PathOptions(ends=300, bodies=30, links=300, entries=1 << 20)


@dataclass(frozen=True)
class Made:
    """Tensors in blueprint order, and what the checkpoint says of its keys.

    focus: float64 (P,), of this or the last full compilation. model: of relation paths; paths:
    how much was looked at to fit it. facts: int32 (n, 3), what is stored, subject, directed
    relation and object. solved: how many keys were answered now; left_out: how many
    were to be, but their units do not fire.
    """

    tensors: Iterator[tuple[TensorSpec, Any]]
    kept: Kept
    focus: NDArray[np.float64]
    model: PathModel | None
    paths: PathOptions | None
    facts: NDArray[np.int32]
    solved: int
    left_out: int


def made_in_full(
    job: GraphCompileJob,
    graph: Graph,
    shape: GraphShape,
    blueprint: Blueprint,
    focus: Focus,
    since: Since,
    device: Device,
    progress: Progress,
) -> Made:
    """All compiled anew; the subspaces of an earlier compilation are begun with."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    keys, model = store_plan(job, graph, shape, focus, progress)
    start = None if since.earlier is None else earlier_factors(since.earlier, tokens)
    parts, kept = compile_graph(
        graph,
        keys,
        focus.values,
        blueprint,
        seed=job.seed,
        device=device,
        progress=progress,
        start=start,
    )
    return Made(
        tensors=parts.tensors(blueprint, job.seed),
        kept=kept,
        focus=focus.values,
        model=model,
        paths=path_options(job, graph, shape) if model else None,
        facts=_of(kept.answered, keys.facts(tokens), tokens),
        solved=len(kept.answered),
        left_out=len(keys) - len(kept.answered),
    )


def made_from(
    job: GraphCompileJob,
    graph: Graph,
    blueprint: Blueprint,
    focus: Focus,
    since: Since,
    progress: Progress,
) -> Made:
    """An increment of ``since``."""
    if since.state is None or since.earlier is None:
        raise ValueError("there is no earlier checkpoint to go on from")
    grown = grow(
        graph,
        since.state.links["weight"],
        link_value(graph, focus),
        focus.values,
        since.model,
        since.earlier,
        blueprint,
        way=job.fold_in,
        progress=progress,
    )
    known = since.state.particles
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    return Made(
        tensors=grown.tensors(blueprint),
        kept=grown.kept,
        focus=np.pad(since.state.focus, (0, len(graph.particles) - known)),
        model=since.model,
        paths=path_options(job, graph, since.state.shape) if since.model else None,
        facts=_of(grown.kept.answered, directed(graph).links(), tokens),
        solved=grown.solved,
        left_out=grown.left_out,
    )


def _of(answered: Answered, facts: NDArray[np.int32], tokens: GraphTokens) -> NDArray[np.int32]:
    """Those ``facts`` (n, 3) that the keys ask for, key by key."""
    count = 2 * tokens.relations
    asked = facts[:, 0].astype(np.int64) * count + facts[:, 1]
    query = answered.subject * count + answered.relation
    order = np.argsort(query)
    place = np.minimum(np.searchsorted(query[order], asked), len(query) - 1)
    here = np.flatnonzero(query[order[place]] == asked)
    rows: NDArray[np.int32] = facts[here[np.argsort(order[place[here]], kind="stable")]]
    return rows


def store_plan(
    job: GraphCompileJob, graph: Graph, shape: GraphShape, focus: Focus, progress: Progress
) -> tuple[Keys, PathModel | None]:
    """The keys to store, with what relation paths predict if that is asked for and fits."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    model, paths = None, path_options(job, graph, shape)
    if paths:
        progress.stage("relation paths")
        model = fit_paths(directed(graph), paths)
    progress.stage("choosing keys")
    keys = choose_keys(graph, model, tokens, shape.keys, link_value(graph, focus))
    return at_home(keys) if short_answers(shape, tokens) else keys, model


def short_answers(shape: GraphShape, tokens: GraphTokens) -> bool:
    """Whether answers of this width hold known facts alone, and not all of those."""
    width = divide_graph(make_blueprint(shape.config(tokens))).answer
    return crowded(width, tokens.particles)


def path_options(job: GraphCompileJob, graph: Graph, shape: GraphShape) -> PathOptions | None:
    """How much is looked at to fit paths, if any: less for a relation above 2^18 particles."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    if not job.predict or short_answers(shape, tokens):
        return None
    return PathOptions() if len(graph.particles) <= _LARGE else _FEW_PATHS


def link_value(graph: Graph, focus: Focus) -> NDArray[np.float64]:
    """What links are worth, (E,): their weight, or the focus of both ends where all weigh alike."""
    if np.ptp(graph.weight) == 0:
        value: NDArray[np.float64] = focus.values[graph.subject] + focus.values[graph.object]
        return value
    return graph.weight
