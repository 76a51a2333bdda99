"""``graph-compile --faithful``: the checkpoint of a published version, with its flaws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structinit_core.blueprint import Blueprint, make_blueprint
from structinit_core.checkpoint import write_checkpoint, write_directory
from structinit_core.corpus import GRAPH_FRAME, TokenStream, write_graph_tokenizers
from structinit_core.errors import LimitError
from structinit_core.initializers.graph import GraphTokens
from structinit_core.initializers.graph.faithful import (
    VERSIONS,
    LinkText,
    Published,
    flaws,
    link_text,
    publish,
    published_tensors,
)
from structinit_core.linalg import resolve_device
from structinit_core.model import load_model, mean_loss, token_losses
from structinit_core.progress import Progress
from structinit_core.recipes.faithful_report import faithful_report
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_links import ReadLinks


def compile_faithful(
    job: GraphCompileJob,
    read: ReadLinks,
    work: Path,
    progress: Progress,
    hashes: dict[Path, str] | None = None,
) -> None:
    """Write the checkpoint of version ``job.faithful`` into ``work``, without publishing it.

    Its family is the version's own; width, heads and layers are those asked for, else d*, h*, L*.

    Raises:
        LimitError: singular vectors or parameters do not fit the memory.
        UsageError: the heads cannot share the width.
        NumericalError: a formula overflows.
    """
    graph, version = read.graph, VERSIONS[str(job.faithful)]
    parts = publish(
        version,
        graph,
        job.memory_bytes,
        width=job.width,
        heads=job.heads,
        layers=job.layers,
        seed=job.seed,
        progress=progress,
    )
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    blueprint = make_blueprint(parts.sizes.config(version, tokens))
    _check_memory(blueprint, parts, job)
    progress.stage("writing", blueprint.layers)
    tensors = published_tensors(parts, blueprint, progress)
    write_checkpoint(
        work,
        blueprint.tensors,
        tensors,
        progress,
        shard_bytes=job.shard_bytes,
        hashes=hashes,
    )
    names = (graph.relations, graph.particles, graph.labels)
    write_graph_tokenizers(work, *names, tokens.slots, blueprint.context)
    write_directory(work, blueprint, None, GRAPH_FRAME)
    progress.stage("flaws")
    found = flaws(parts)
    texts = {name: link_text(graph, typed=name == "typed") for name in ("plain", "typed")}
    losses = _losses(work, list(texts.values()), blueprint, job, progress)
    report = faithful_report(read, parts, found, dict(zip(texts, losses, strict=True)), texts)
    report.write(work)


def _losses(
    directory: Path,
    texts: list[LinkText],
    blueprint: Blueprint,
    job: GraphCompileJob,
    progress: Progress,
) -> list[float]:
    """Nats of the last token of each sequence, as transformers scores the written network."""
    tokens = sum(text.ids.size for text in texts)
    device, _ = resolve_device(job.device, tokens * blueprint.parameters)
    network = load_model(directory, device)
    losses = []
    for text in texts:
        progress.stage("scoring links", len(text.ids))
        count, length = text.ids.shape
        offsets = np.arange(count + 1) * length
        stream = TokenStream(text.ids.ravel(), offsets)
        windows = np.stack((offsets[:-1], offsets[1:]), axis=1)
        each = token_losses(network, blueprint.vocabulary, stream, windows, progress)
        losses.append(mean_loss(each[length - 2 :: length - 1]))
    return losses


def _check_memory(blueprint: Blueprint, parts: Published, job: GraphCompileJob) -> None:
    """The network as it is scored, and a few copies of the rows in float64."""
    needed = 4 * blueprint.parameters + 32 * parts.rows.size
    if needed > job.memory_bytes:
        raise LimitError(
            f"{blueprint.parameters:,} parameters as published need about {needed >> 20} MiB, "
            f"allowed are {job.memory_bytes >> 20}",
            hint="raise --memory, or take a smaller --width or fewer --layers",
        )
