"""The starts of the arms: a compiled graph with words beside it, its control, and baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.artifact import pretty_json
from structinit_core.blueprint import Blueprint, TensorSpec, make_blueprint
from structinit_core.checkpoint import write_checkpoint
from structinit_core.graph import Graph, Names, pagerank
from structinit_core.graph.shape import concentration
from structinit_core.initializers.baselines import assert_unit_gains, baseline_stream
from structinit_core.initializers.graph import GraphTokens
from structinit_core.initializers.graph.compile import coded_stream, head_rows, with_maps
from structinit_core.linalg import generator
from structinit_core.model import default_tensors
from structinit_core.progress import Silent
from structinit_core.race.graph_predictions.protocol import GraphPredictionsProtocol

_ABSENT = 0.5
"""What the unigram counts a token for that never stands in the training text."""
_STEEPEST = 64.0


@dataclass(frozen=True)
class Start:
    """What an arm begins with: ``graph`` compiled, or without one the family's own start.

    unigram: the head's bias is the log-unigram of the training text.
    """

    graph: Graph | None = None
    unigram: bool = False


def write_start(
    directory: Path,
    start: Start,
    counted: NDArray[np.int64],
    tokens: GraphTokens,
    protocol: GraphPredictionsProtocol,
    seed: int,
) -> None:
    """A Hugging Face directory to train from. Norm gains are 1 in every start.

    ``counted`` (V,): how often each token stands in the training text, for the unigram, which
    beside the family's own start is the baseline ``unigram-bias``.
    """
    config = protocol.config(tokens, len(counted))
    blueprint = make_blueprint(config)
    unigram = (counted + _ABSENT) / (counted + _ABSENT).sum() if start.unigram else None
    if start.graph is not None:
        stream = compiled_start(start.graph, unigram, tokens, blueprint, seed)
    else:
        name = "default" if unigram is None else "unigram-bias"
        default = default_tensors(config, seed)
        stream = baseline_stream(name, blueprint, seed, default=default, unigram=unigram)
    write_checkpoint(directory, blueprint.tensors, assert_unit_gains(stream), Silent())
    (directory / "config.json").write_text(pretty_json(config), encoding="utf-8")


def compiled_start(
    graph: Graph,
    unigram: NDArray[np.float64] | None,
    tokens: GraphTokens,
    blueprint: Blueprint,
    seed: int,
) -> Iterator[tuple[TensorSpec, Tensor]]:
    """``graph`` compiled beside words, which are particles that nothing is linked with.

    So the rows of words are as long as all others and have their constant, which the norms and
    the head count on. The bias of the head is ``unigram``, or without it the particles' focus and
    for each other token the mean. No answers are stored: their keys are relation tokens, which a
    text has none of, and the long rows of their codes drive training apart.
    """
    vocabulary, first = blueprint.vocabulary, tokens.first_particle
    prior = unigram
    if prior is None:
        prior = np.ones(vocabulary)
        prior[first : tokens.vocabulary] = tokens.particles * pagerank(graph).values
        prior /= prior.sum()
    beside = replace(graph, particles=Names.of(map(str, range(vocabulary - first))))
    focus = pagerank(beside).values
    _, stream, directed, maps = coded_stream(beside, focus, blueprint, seed, Silent())
    words = GraphTokens(len(beside.relations), len(beside.particles))
    parts, _ = with_maps(stream, head_rows(stream, prior), directed, maps, words, blueprint)
    return parts.tensors(blueprint, seed)


def permuted(graph: Graph, seed: int) -> Graph:
    """The same links between particles that have exchanged their places."""
    draw = generator(seed, "graph predictions", "permuted")
    place = draw.permutation(len(graph.particles)).astype(np.int32)
    return replace(graph, subject=place[graph.subject], object=place[graph.object])


def concentrated(graph: Graph, gini: float) -> tuple[Graph, float]:
    """``graph`` with each link as heavy as its neuron's stake, and the largest stake's share.

    Stakes fall with rank as k⁻ᵃ, the neuron of most links first, a such that their Gini
    coefficient is ``gini``, or as near as so many neurons can come. Links of nobody are left out.
    """
    graph = graph.only(graph.neuron >= 0)
    said = np.bincount(graph.neuron)
    order = np.argsort(-said, kind="stable")[: int((said > 0).sum())]
    rank = np.arange(1, len(order) + 1, dtype=np.float64)
    low, high = 0.0, _STEEPEST
    for _ in range(60):
        middle = (low + high) / 2
        found = concentration(rank**-middle)
        low, high = (middle, high) if found and found.gini < gini else (low, middle)
    stakes = np.zeros(len(said))
    # Below the largest by more than float32 resolves, a link would weigh nothing.
    stakes[order] = np.maximum(rank**-low, 1e-9)
    return replace(graph, weight=stakes[graph.neuron]), float(stakes.max() / stakes.sum())
