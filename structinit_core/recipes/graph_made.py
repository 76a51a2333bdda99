"""What a compilation of links makes, in full or from an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, TensorSpec
from structinit_core.errors import IncompatibleError
from structinit_core.graph import Focus, Graph, PathModel, both_ways, directed, fit_paths
from structinit_core.initializers.graph import (
    GraphShape,
    GraphTokens,
    Kept,
    Keys,
    choose_keys,
    compile_graph,
    earlier_factors,
    grow,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress
from structinit_core.recipes.graph_growth import Since
from structinit_core.recipes.graph_job import GraphCompileJob


@dataclass(frozen=True)
class Made:
    """Tensors in blueprint order, and what the checkpoint says of its keys.

    subject, relation: int64 (K,), the query of each key. focus: float64 (P,), of this or the
    last full compilation. model: of relation paths. predicted: how many objects are stored that
    are no links, ``None`` where that is not known. solved: how many keys were answered now.
    """

    tensors: Iterator[tuple[TensorSpec, Any]]
    kept: Kept
    subject: NDArray[np.int64]
    relation: NDArray[np.int64]
    focus: NDArray[np.float64]
    model: PathModel | None
    predicted: int | None
    solved: int


def made_in_full(
    job: GraphCompileJob,
    graph: Graph,
    shape: GraphShape,
    blueprint: Blueprint,
    focus: Focus,
    since: Since,
    progress: Progress,
) -> Made:
    """All compiled anew; the subspaces of an earlier compilation are begun with."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    device, _ = resolve_device(job.device, shape.keys * shape.width**2)
    keys, model = store_plan(job, graph, shape, focus, progress)
    parts = compile_graph(
        graph,
        keys,
        focus.values,
        blueprint,
        seed=job.seed,
        device=device,
        progress=progress,
        start=None if since.earlier is None else earlier_factors(since.earlier, tokens),
    )
    if parts.kept is None:
        raise ValueError("the compiled graph keeps nothing for its growth")
    return Made(
        tensors=parts.tensors(blueprint, job.seed),
        kept=parts.kept,
        subject=keys.before - tokens.first_particle,
        relation=tokens.directed(keys.own),
        focus=focus.values,
        model=model,
        predicted=int((~keys.known).sum()),
        solved=len(keys),
    )


def made_from(
    job: GraphCompileJob,
    graph: Graph,
    blueprint: Blueprint,
    focus: Focus,
    since: Since,
    progress: Progress,
) -> Made:
    """An increment of ``since``.

    Raises:
        IncompatibleError: what it keeps of relation paths is damaged.
    """
    if since.state is None or since.earlier is None:
        raise IncompatibleError("there is no earlier checkpoint to go on from")
    model = since.paths(graph) if job.predict else None
    grown = grow(
        graph,
        since.state.links["weight"],
        link_value(graph, focus),
        focus.values,
        model,
        since.earlier,
        blueprint,
        way=job.fold_in,
        progress=progress,
    )
    return Made(
        tensors=grown.tensors(blueprint),
        kept=grown.kept,
        subject=grown.subject,
        relation=grown.relation,
        focus=np.pad(since.state.focus, (0, len(graph.particles) - since.state.particles)),
        model=model,
        predicted=None,
        solved=grown.solved,
    )


def store_plan(
    job: GraphCompileJob, graph: Graph, shape: GraphShape, focus: Focus, progress: Progress
) -> tuple[Keys, PathModel | None]:
    """The keys to store, with what relation paths predict if that is asked for."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    model = None
    if job.predict:
        progress.stage("relation paths")
        model = fit_paths(directed(graph))
    progress.stage("choosing keys")
    return choose_keys(graph, model, tokens, shape.keys, link_value(graph, focus)), model


def link_value(graph: Graph, focus: Focus) -> NDArray[np.float64]:
    """What links are worth, (E,): their weight, or the focus of both ends where all weigh alike."""
    if np.ptp(graph.weight) == 0:
        value: NDArray[np.float64] = focus.values[graph.subject] + focus.values[graph.object]
        return value
    return graph.weight


def queries_stored(graph: Graph, made: Made) -> tuple[int, int]:
    """How many known queries have a key, and how many links both ways are stored with them."""
    relations = 2 * len(graph.relations)
    links = both_ways(graph.subject, graph.relation, graph.object, relations // 2)
    asked = links[:, 0].astype(np.int64) * relations + links[:, 1]
    stored = asked[np.isin(asked, made.subject * relations + made.relation)]
    return len(np.unique(stored)), len(stored)
