"""Whether a checkpoint of an earlier state of the links is near enough to go on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import MANIFEST, Recipe, open_artifact, read_manifest
from structinit_core.blueprint import make_blueprint
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    CHECKPOINT_VERSION,
    StoredTensors,
    open_tensors,
)
from structinit_core.errors import IncompatibleError, InputError, StructinitError
from structinit_core.graph import Focus, Graph, PathModel, directed, open_paths
from structinit_core.initializers.graph import Earlier, GraphTokens, crowded, divide_graph
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_state import (
    GROWTH,
    PATHS,
    GrowthState,
    names_digest,
    open_growth,
)

_LINKS = {"columns", "stakes", "labels", "holdout", "also_true"}
"""Parameters that decide which links there are: links are compared themselves."""
_FILES = {"onnx", "shard_bytes", "since"}
"""Those that decide which files there are, and those of the increment itself."""


@dataclass(frozen=True)
class Since:
    """An earlier checkpoint and what becomes of it.

    reason: why there is a full compilation; ``None`` while an increment is possible. content:
    what the earlier checkpoint hashes to. earlier: its tensors; state: what it keeps beside
    them; both ``None`` where they cannot be begun with. model: its path model over the links
    now, if it has one. distance: how far focus has moved, in L1, since the last full compilation.
    """

    reason: str | None = None
    path: Path | None = None
    content: str | None = None
    state: GrowthState | None = None
    earlier: Earlier | None = None
    model: PathModel | None = None
    distance: float | None = None

    @property
    def focus(self) -> NDArray[np.float64] | None:
        """The focus of the last full compilation."""
        return None if self.state is None else self.state.focus

    @property
    def grows(self) -> bool:
        """Whether the checkpoint is an increment of the earlier one."""
        return self.state is not None and self.reason is None

    def compared(self, graph: Graph, known: int, keys: int) -> Since:
        """The same, compared with the links now, their ``known`` queries and suggested ``keys``."""
        state, earlier = self.state, self.earlier
        if self.path is None or state is None or earlier is None:
            return self
        reason = _unlike(state, graph)
        if reason is not None:
            return Since(reason, self.path, self.content)
        if len(graph.relations) > state.relations:
            reason = f"{len(graph.relations) - state.relations} relations are new"
        units = state.shape.layers * earlier.blueprint.feed_forward
        if keys > state.shape.keys and known > units:
            reason = f"{known:,} queries are known, there is room for {state.shape.keys:,}"
        if crowded(len(state.kept.answered.gram), len(graph.particles)):
            reason = "answers as narrow as its own are compiled together"
        model = None
        if reason is None and (self.path / GROWTH / PATHS).is_dir():
            try:
                model = open_paths(self.path / GROWTH / PATHS, directed(graph))
            except StructinitError as error:
                reason = f"the earlier checkpoint {error.message}"
        return replace(self, reason=reason, model=model)

    def moved_to(self, focus: Focus, beyond: float) -> Since:
        """The same, compared with the focus now."""
        if self.state is None:
            return self
        moved = focus.values.copy()
        moved[: self.state.particles] -= self.state.focus
        distance, reason = float(np.abs(moved).sum()), self.reason
        if reason is None and distance > beyond:
            reason = f"focus has moved by {distance:.3g}, which is beyond {beyond:g}"
        return replace(self, distance=distance, reason=reason)

    def refuse_change(self) -> None:
        """Refuse an earlier checkpoint that another run has replaced since it was opened.

        Raises:
            IncompatibleError: it has.
        """
        manifest = read_manifest(self.path) if self.path else None
        if self.content != (manifest.content if manifest else None):
            raise IncompatibleError(
                "changed while it was read", where=str(self.path), hint="run again"
            )


def recipe_so_far(job: GraphCompileJob, output: Path) -> Recipe:
    """The recipe under which ``output`` is up to date.

    Where it is itself the checkpoint to go on from, that is what it was made from before: one of
    these links stays as it is.
    """
    if job.since is None:
        return job.recipe()
    try:
        manifest = read_manifest(job.since)
    except IncompatibleError:
        return job.recipe()
    content = manifest.content if manifest else None
    if job.since.resolve() == output.resolve():
        before = manifest.recipe.params.get("since") if manifest else None
        if not isinstance(before, dict):
            return job.recipe()
        content = before.get("content")
    return job.recipe(job.growing(content if isinstance(content, str) else None))


@contextmanager
def opened(job: GraphCompileJob, output: Path) -> Iterator[Since]:
    """The checkpoint named as the earlier one; its files are closed at the end.

    Raises:
        InputError: there is none, and it is not ``output`` either, whose first run has none.
        IncompatibleError: it is no checkpoint of a graph.
    """
    path = job.since
    if path is None:
        yield Since()
        return
    if not path.exists():
        if path.resolve() != output.resolve():
            raise InputError("there is no earlier checkpoint", where=str(path))
        yield Since("there is no earlier checkpoint yet")
        return
    manifest = read_manifest(path)
    if (
        manifest is None
        or manifest.recipe.kind != CHECKPOINT_KIND
        or manifest.recipe.params.get("method") != "graph"
    ):
        raise IncompatibleError(
            "is no checkpoint that graph-compile published",
            where=str(path),
            hint=f"name a directory with a {MANIFEST} of one",
        )
    with ExitStack() as files:
        since = Since(_differing(job, manifest.recipe), path, manifest.content)
        if since.reason is None:
            try:
                open_artifact(path, CHECKPOINT_KIND, CHECKPOINT_VERSION)
                state = open_growth(path / GROWTH)
                earlier = _earlier(state, files.enter_context(open_tensors(path)), job.seed)
                since = replace(since, state=state, earlier=earlier)
            except StructinitError as error:
                since = replace(since, reason=f"the earlier checkpoint {error.message}")
        yield since


def _earlier(state: GrowthState, stored: StoredTensors, seed: int) -> Earlier:
    """The compiled graph of a state, whose tensors have the shapes that it says."""
    tokens = GraphTokens(state.relations, state.particles)
    blueprint = make_blueprint(state.shape.config(tokens))
    for spec in blueprint.tensors:
        if not spec.tied_to and (
            spec.name not in stored.names or stored.header(spec.name) != ("F32", spec.shape)
        ):
            raise IncompatibleError(f"holds no tensor {spec.name} of shape {spec.shape}")
    if int(state.kept.answered.unit.max()) >= blueprint.feed_forward:
        raise IncompatibleError("names units that it does not have")
    size = divide_graph(blueprint)
    if state.kept.maps.shape[1] != size.predict or len(state.kept.answered.gram) != size.answer:
        raise IncompatibleError("holds matrices of another size")
    return Earlier(tokens, blueprint, seed, state.kept, stored.read)


def _differing(job: GraphCompileJob, before: Recipe) -> str | None:
    """Which parameter decides against going on, in words."""
    now = job.recipe().params
    for name in sorted((now.keys() | before.params.keys()) - _LINKS - _FILES):
        asked, had = now.get(name), before.params.get(name)
        if asked != had:
            return f"{name} is {asked}, it was {had}"
    return None


def _unlike(state: GrowthState, graph: Graph) -> str | None:
    """Why the links are no extension of the earlier ones, in words."""
    counts = state.particles, state.relations
    if len(graph.particles) < counts[0] or len(graph.relations) < counts[1]:
        return "there are fewer particles or relations than before"
    if names_digest(graph, *counts) != state.names:
        return "particles or relations do not begin with the earlier ones in their order"
    before = state.links
    count = len(before["subject"])
    if len(graph) < count or any(
        not np.array_equal(getattr(graph, name)[:count], before[name])
        for name in ("subject", "relation", "object")
    ):
        return "links do not begin with the earlier ones in their order"
    return None
