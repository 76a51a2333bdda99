"""``graph-compile``: from link lists to a published checkpoint with its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structinit_core.artifact import (
    is_up_to_date,
    locked,
    pretty_json,
    refuse_foreign,
    refuse_overlap,
    staged,
)
from structinit_core.blueprint import make_blueprint
from structinit_core.checkpoint import CHECKPOINT_KIND, write_checkpoint, write_directory
from structinit_core.corpus import GRAPH_FRAME, write_graph_tokenizers
from structinit_core.graph import (
    Focus,
    Graph,
    PathOptions,
    directed,
    fit_paths,
    pagerank,
)
from structinit_core.initializers.graph import (
    GraphShape,
    GraphTokens,
    Keys,
    at_home,
    choose_keys,
    compile_graph,
    crowded,
    divide_graph,
    suggested_heads,
    suggested_keys,
    suggested_width,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.graph_forecast import forecast, refuse_unfit
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_links import ReadLinks, read_links
from structinit_core.recipes.record import Recorder

QUARANTINE = "quarantine.jsonl"
_LAYERS, _SHALLOW = 4, 2
_SMALL, _LARGE = 1 << 11, 1 << 18
_FEW_PATHS = PathOptions(ends=300, bodies=30, links=300, entries=1 << 20)


def graph_compile(
    job: GraphCompileJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the compiled checkpoint of ``job``; ``False`` if it was up to date already.

    ``output`` holds a Hugging Face directory whose vocabulary are the relations, both ways, and
    the particles, ``report.json``, ``manifest.json``, ``run.json`` and, where rows were bad,
    ``quarantine.jsonl``. Same job, same bytes of all but ``run.json``, on one machine class with
    a fixed number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    refuse_overlap(output, job.paths())
    with locked(output):
        refuse_foreign(output, CHECKPOINT_KIND, force)
        record.stage("hashing inputs")
        recipe = job.recipe()
        if is_up_to_date(output, recipe):
            return False
        hashes: dict[Path, str] = {}
        with staged(output, recipe, hashes) as work:
            read = read_links(job, work / QUARANTINE, record)
            if job.faithful:
                from structinit_core.recipes.faithful import compile_faithful

                compile_faithful(job, read, work, record, hashes)
            else:
                compile_links(job, read, work, record, hashes)
            record.write(work)
    return True


def shape_of(job: GraphCompileJob, graph: Graph) -> GraphShape:
    """The sizes asked for, and otherwise those that the graph suggests."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    width = job.width or suggested_width(tokens)
    small = len(graph.particles) <= _SMALL
    return GraphShape(
        family=job.family,
        width=width,
        layers=job.layers or (_SHALLOW if small else _LAYERS),
        heads=job.heads or suggested_heads(width),
        keys=job.keys or suggested_keys(width, job.family, known_keys(graph), tokens),
    )


def known_keys(graph: Graph) -> int:
    """How many queries, subject and directed relation, have a known object."""
    relations = len(graph.relations)
    ends = (graph.subject, graph.object)
    return sum(len(np.unique(end.astype(np.int64) * relations + graph.relation)) for end in ends)


def compile_links(
    job: GraphCompileJob,
    read: ReadLinks,
    work: Path,
    progress: Progress,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write the checkpoint of the links ``read`` into ``work``, without publishing it."""
    from structinit_core.recipes.graph_report import graph_report

    graph = read.graph
    shape = shape_of(job, graph)
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    blueprint = make_blueprint(shape.config(tokens))
    refuse_unfit(
        forecast(graph, shape, known_keys(graph), blueprint, job.memory_bytes), job.memory_bytes
    )
    device, _ = resolve_device(job.device, shape.keys * shape.width**2)
    progress.stage("focus")
    focus = pagerank(graph)
    keys = store_plan(job, graph, shape, focus, progress)
    parts = compile_graph(
        graph, keys, focus.values, blueprint, seed=job.seed, device=device, progress=progress
    )
    progress.stage("writing", len(blueprint.tensors))
    write_checkpoint(
        work,
        blueprint.tensors,
        parts.tensors(blueprint, job.seed),
        progress,
        shard_bytes=job.shard_bytes,
        hashes=hashes,
    )
    del parts
    names = (graph.relations, graph.particles, graph.labels)
    write_graph_tokenizers(work, *names, tokens.slots, blueprint.context)
    write_directory(work, blueprint, None, GRAPH_FRAME)
    if job.onnx:
        from structinit_core.export import read_source
        from structinit_core.export.onnx_export import export_onnx

        source = read_source(work, None)
        export_onnx(source, work, "float32", progress, hashes=hashes)
    report = graph_report(
        work,
        read,
        shape,
        blueprint,
        focus,
        keys,
        paths=path_options(job, graph, shape),
        seed=job.seed,
        device=device,
        progress=progress,
    )
    (work / "report.json").write_text(
        pretty_json(report.model_dump(mode="json", by_alias=True)), encoding="utf-8"
    )


def store_plan(
    job: GraphCompileJob, graph: Graph, shape: GraphShape, focus: Focus, progress: Progress
) -> Keys:
    """The keys to store, with what relation paths predict if that is asked for and fits.

    Links are worth their weight, times the focus of both their ends where all weigh the same.
    """
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    model, paths = None, path_options(job, graph, shape)
    if paths:
        progress.stage("relation paths")
        model = fit_paths(directed(graph), paths)
    progress.stage("choosing keys")
    value = graph.weight
    if np.ptp(value) == 0:
        value = focus.values[graph.subject] + focus.values[graph.object]
    keys = choose_keys(graph, model, tokens, shape.keys, value)
    return at_home(keys) if short_answers(shape, tokens) else keys


def short_answers(shape: GraphShape, tokens: GraphTokens) -> bool:
    """Whether answers of this width hold known facts alone, and not all of those."""
    width = divide_graph(make_blueprint(shape.config(tokens))).answer
    return crowded(width, tokens.particles)


def path_options(job: GraphCompileJob, graph: Graph, shape: GraphShape) -> PathOptions | None:
    """How much is looked at to fit paths, if any: less for a relation above 2^18 particles."""
    if not job.predict or short_answers(
        shape, GraphTokens(len(graph.relations), len(graph.particles))
    ):
        return None
    return PathOptions() if len(graph.particles) <= _LARGE else _FEW_PATHS
