"""The preset ``graph-predictions``: predictions 1 to 4 of seed 000, put to the test."""

from __future__ import annotations

from pathlib import Path

import torch

from structinit_core.artifact import is_up_to_date, locked, pretty_json, refuse_foreign, staged
from structinit_core.corpus import read_documents
from structinit_core.graph import Graph, pagerank
from structinit_core.graph.spectrum import singular_values
from structinit_core.linalg import Device, resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.race.graph_predictions.domain import DEBIAN, WORDNET, read_domain
from structinit_core.race.graph_predictions.page import result_page
from structinit_core.race.graph_predictions.predictions import predictions
from structinit_core.race.graph_predictions.protocol import KIND, GraphPredictionsRace
from structinit_core.race.graph_predictions.result import (
    COMPILED,
    COMPILED_UNIGRAM,
    DEFAULT,
    PERMUTED,
    UNIGRAM,
    ArmRuns,
    GraphFacts,
    GraphPredictionsResult,
    TextFacts,
)
from structinit_core.race.graph_predictions.runs import Bench, StartOf
from structinit_core.race.graph_predictions.sequences import race_texts
from structinit_core.race.graph_predictions.starts import Start, concentrated, permuted
from structinit_core.recipes.record import Recorder

RESULT, PAGE = "graph-predictions.json", "graph-predictions.html"
NOTES = (
    "A text names no relation, so links are compiled without types, and no answers are stored "
    "under them: of a compiled graph the token rows, the head and the heads that copy are tested.",
    "Extra words are particles that nothing is linked with; the head's bias is the particles' "
    "focus, or, beside unigram-bias, the same unigram of the training text.",
    "A matched label stands for one particle, whatever the sense meant: the one most used where "
    "the graph says so, else the first.",
)


def race_graph_predictions(
    job: GraphPredictionsRace, output: Path, *, progress: Progress | None = None
) -> bool:
    """Publish the test; ``False`` if it was up to date already.

    ``output`` holds ``graph-predictions.json`` (a :class:`GraphPredictionsResult`), its page,
    ``manifest.json`` and ``run.json``. Deterministic for the job on one machine with fixed
    threads. Cost: some ten arms of a sweep and ``seeds`` runs each.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    place, _ = resolve_device(job.device, 0)
    with locked(output):
        refuse_foreign(output, KIND, force=False)
        record.stage("hashing inputs")
        recipe = job.recipe()
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work:
            result = _tested(job, place, record)
            content = result.model_dump(mode="json", by_alias=True)
            (work / RESULT).write_text(pretty_json(content), encoding="utf-8")
            (work / PAGE).write_text(result_page(result), encoding="utf-8")
            record.write(work)
    return True


def _tested(
    job: GraphPredictionsRace, device: Device, progress: Progress
) -> GraphPredictionsResult:
    threads = torch.get_num_threads()
    texts: list[TextFacts] = []
    graphs: list[GraphFacts] = []
    arms: list[ArmRuns] = []
    protocol = job.protocol
    general = read_documents(job.general, border=job.border, text_field=job.text_field)
    words = read_domain(WORDNET, job.wordnet, protocol.particles, progress)
    vocabulary, found = race_texts(words, general, protocol)
    graphs.append(graph_facts(words.name, COMPILED, words.graph))
    plain = {DEFAULT: _fixed(Start()), COMPILED: _fixed(Start(words.graph))}
    more = {
        UNIGRAM: _fixed(Start(unigram=True)),
        COMPILED_UNIGRAM: _fixed(Start(words.graph, unigram=True)),
        PERMUTED: lambda seed: Start(permuted(words.graph, seed)),
    }
    for text, starts in zip(found, (plain | more, plain), strict=True):
        # Reading links changes the threads of the OpenMP runtime that torch shares with it.
        torch.set_num_threads(threads)
        bench = Bench(protocol, vocabulary.tokens, text, device, progress)
        texts.append(text.facts)
        arms += bench.race(starts)
    packages = read_domain(DEBIAN, job.debian, protocol.particles, progress)
    vocabulary, (text,) = race_texts(packages, (), protocol)
    texts.append(text.facts)
    starts = {DEFAULT: _fixed(Start())}
    for gini in protocol.ginis:
        graph, top = concentrated(packages.graph, gini)
        name = f"{COMPILED}, Gini {gini:g}"
        graphs.append(graph_facts(packages.name, name, graph, gini, top))
        starts[name] = _fixed(Start(graph))
    torch.set_num_threads(threads)
    arms += Bench(protocol, vocabulary.tokens, text, device, progress).race(starts)
    return GraphPredictionsResult(
        protocol=protocol.model_dump(mode="json"),
        texts=tuple(texts),
        graphs=tuple(graphs),
        arms=tuple(arms),
        predictions=predictions(arms, graphs, texts),
        notes=NOTES,
    )


def _fixed(start: Start) -> StartOf:
    """The same at every seed."""
    return lambda _: start


def graph_facts(
    text: str, arm: str, graph: Graph, gini: float | None = None, top: float | None = None
) -> GraphFacts:
    """What is compiled, counted and with its d*."""
    focus = pagerank(graph).values
    count = min(256, len(graph.particles) // 4)
    return GraphFacts(
        text=text,
        arm=arm,
        particles=len(graph.particles),
        links=len(graph),
        effective_rank=singular_values(graph, focus, count).effective_rank,
        gini=gini,
        top=top,
    )
