"""``graph-compile``: from link lists to a published checkpoint with its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structinit_core.artifact import (
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    staged,
)
from structinit_core.blueprint import make_blueprint
from structinit_core.checkpoint import CHECKPOINT_KIND, write_checkpoint, write_directory
from structinit_core.corpus import GRAPH_FRAME, write_graph_tokenizers
from structinit_core.graph import Graph, pagerank
from structinit_core.initializers.graph import (
    GraphShape,
    GraphTokens,
    suggested_heads,
    suggested_keys,
    suggested_width,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.graph_forecast import forecast, refuse_unfit
from structinit_core.recipes.graph_growth import Since, opened, recipe_so_far
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_links import ReadLinks, read_links
from structinit_core.recipes.graph_made import made_from, made_in_full
from structinit_core.recipes.graph_state import GROWTH, save_growth
from structinit_core.recipes.record import Recorder

QUARANTINE = "quarantine.jsonl"
_LAYERS, _SHALLOW = 4, 2
_SMALL = 1 << 11


def graph_compile(
    job: GraphCompileJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish the compiled checkpoint of ``job``; ``False`` if it was up to date already.

    ``output`` holds a Hugging Face directory whose vocabulary are the relations, both ways, and
    the particles, ``report.json``, ``manifest.json``, ``run.json`` and, where rows were bad,
    ``quarantine.jsonl``; ``growth/`` is what ``job.since`` goes on from later. Same job, and same
    checkpoint to go on from, same bytes of all but ``run.json``, on one machine class with a
    fixed number of threads.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    refuse_overlap(output, job.paths())
    if job.since is not None and job.since.resolve() != output.resolve():
        refuse_overlap(output, [job.since])
    with locked(output):
        refuse_foreign(output, CHECKPOINT_KIND, force)
        record.stage("hashing inputs")
        if is_up_to_date(output, recipe_so_far(job, output)):
            return False
        with opened(job, output) as since:
            recipe = job.recipe(job.growing(since.content) if job.since else None)
            hashes: dict[Path, str] = {}
            with staged(output, recipe, hashes) as work:
                read = read_links(job, work / QUARANTINE, record)
                if job.faithful:
                    from structinit_core.recipes.faithful import compile_faithful

                    compile_faithful(job, read, work, record, hashes)
                else:
                    compile_links(job, read, work, record, hashes, since)
                since.refuse_change()
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
    since: Since | None = None,
) -> None:
    """Write the checkpoint of the links ``read`` into ``work``, without publishing it.

    An increment of ``since`` where that is near enough, else a full compilation.
    """
    from structinit_core.recipes.graph_report import graph_report

    graph = read.graph
    shape = shape_of(job, graph)
    since = (since or Since()).compared(graph, known_keys(graph), shape.keys)
    progress.stage("focus")
    focus = pagerank(graph, start=since.focus)
    since = since.moved_to(focus, job.full_beyond)
    if since.reason is not None:
        progress.warn(f"compiled in full: {since.reason}")
    if since.grows and since.state is not None:
        shape = since.state.shape
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    blueprint = make_blueprint(shape.config(tokens))
    refuse_unfit(
        forecast(graph, shape, known_keys(graph), blueprint, job.memory_bytes), job.memory_bytes
    )
    device, _ = resolve_device(job.device, shape.keys * shape.width**2)
    if since.grows:
        made = made_from(job, graph, blueprint, focus, since, progress)
    else:
        made = made_in_full(job, graph, shape, blueprint, focus, since, device, progress)
    progress.stage("writing", len(blueprint.tensors))
    write_checkpoint(
        work, blueprint.tensors, made.tensors, progress, shard_bytes=job.shard_bytes, hashes=hashes
    )
    save_growth(work / GROWTH, graph, shape, made.focus, made.kept, made.model)
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
        made,
        since,
        seed=job.seed,
        device=device,
        progress=progress,
    )
    report.write(work)
