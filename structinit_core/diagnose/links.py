"""What a compiled graph's model makes of links: ranks, recall, and step-0 losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.errors import InputError, NumericalError
from structinit_core.graph import (
    Directed,
    Graph,
    Ranking,
    References,
    both_ways,
    link_references,
    ranks_of,
    walk_references,
)
from structinit_core.initializers.graph import FRAME_ID, GraphTokens
from structinit_core.model import next_logits, rows_at_once
from structinit_core.progress import Progress

Rows = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinkRanks:
    """Filtered ranks of objects, of subjects, and of both together."""

    objects: Ranking
    subjects: Ranking
    both: Ranking


@dataclass(frozen=True)
class LinkLosses:
    """Mean negative log-likelihoods in nats of the same ``asked`` particles.

    model: among all tokens, what training would minimise; among_particles: of the model with
    every other token left out, as all references are; uniform: ln P; prior and exact_graph: as
    :class:`~structinit_core.graph.References` says.
    """

    asked: int
    model: float
    among_particles: float
    uniform: float
    prior: float
    exact_graph: float


@dataclass(frozen=True)
class LinkFigures:
    """Ranks and losses of n links, each asked both ways.

    known: of links whose particles and relation the graph has; all_links: the same with the
    ``lacking`` others never found, their rank without end; losses are of known links.
    """

    links: int
    lacking: int
    known: LinkRanks
    all_links: LinkRanks
    losses: LinkLosses


@dataclass(frozen=True)
class Recall:
    """Of ``facts`` (s, r, o) how many have o among the top n(s, r), all objects of (s, r)."""

    facts: int
    found: int

    @property
    def share(self) -> float:
        """Found of all."""
        return self.found / self.facts


def link_figures(
    model: torch.nn.Module,
    graph: Graph,
    links: Rows,
    known: Directed,
    progress: Progress,
    *,
    lacking: int = 0,
) -> LinkFigures:
    """Ranks and losses of ``links``, int32 (n, 3): subject, relation, object; each both ways.

    The model is given frame, subject, relation token, and asked at the last position. ``graph``
    is what was compiled and what references count; ``known`` holds all links that are true,
    which do not stand in each other's way; ``lacking``: how many more links name what the graph
    lacks. Cost: one forward pass for each distinct query; memory of
    some 2²⁵ logits, four times at the peak.

    Raises:
        InputError: no links. NumericalError: logits that are not finite.
    """
    _refuse_nothing(links)
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    subject, relation, object_ = links.T
    queries = both_ways(subject, relation, object_, len(graph.relations))
    ranks, losses = np.empty(len(queries)), np.empty((len(queries), 2))
    progress.stage("ranking links", len(queries))
    for rows, logits in _logits(model, _asked(tokens, queries), progress):
        asked = queries[rows]
        ranks[rows] = ranks_of(logits[:, tokens.first_particle :], asked, known)
        losses[rows] = _losses(logits, tokens, asked[:, 2])
    return LinkFigures(
        links=len(links) + lacking,
        lacking=lacking,
        known=_ranked(ranks, 0),
        all_links=_ranked(ranks, lacking),
        losses=_beside(losses, link_references(graph, queries), tokens),
    )


def walk_losses(
    model: torch.nn.Module, graph: Graph, steps: Rows, progress: Progress
) -> LinkLosses:
    """Losses of the second particle of ``steps``, int32 (n, 2), after the frame and the first.

    Raises:
        InputError: no steps. NumericalError: logits that are not finite.
    """
    _refuse_nothing(steps)
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    losses = np.empty((len(steps), 2))
    progress.stage("walks", len(steps))
    before = tokens.particle(steps[:, :1])
    for rows, logits in _logits(model, before, progress):
        losses[rows] = _losses(logits, tokens, steps[rows, 1])
    return _beside(losses, walk_references(graph, steps), tokens)


def recall(
    model: torch.nn.Module, graph: Graph, facts: Rows, known: Directed, progress: Progress
) -> Recall:
    """How many of ``facts``, int32 (n, 3) of subject, directed relation, object, are recalled.

    The object's logit is to be among the highest n(s, r) of all particles, n(s, r) the number
    of objects in ``known``; particles that score the same count as before it.

    Raises:
        InputError: no facts. NumericalError: logits that are not finite.
    """
    _refuse_nothing(facts)
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    found = 0
    progress.stage("recalling facts", len(facts))
    for rows, logits in _logits(model, _asked(tokens, facts), progress):
        scores = logits[:, tokens.first_particle :]
        own = scores[np.arange(len(rows)), facts[rows, 2]]
        place = (scores >= own[:, None]).sum(axis=1)
        allowed = [len(known.objects(subject, relation)) for subject, relation, _ in facts[rows]]
        found += int((place <= allowed).sum())
    return Recall(len(facts), found)


def _asked(tokens: GraphTokens, queries: Rows) -> NDArray[np.int64]:
    """Subject and relation token of each query: int64 (n, 2)."""
    return np.stack((tokens.particle(queries[:, 0]), tokens.relation(queries[:, 1])), axis=1)


def _logits(
    model: torch.nn.Module, before: NDArray[np.int64], progress: Progress
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rows of ``before`` with the logits after them, (m, V); each distinct row is run once.

    But for those at the border of two blocks.
    """
    distinct, place = np.unique(before, axis=0, return_inverse=True)
    place = place.ravel()
    order = np.argsort(place, kind="stable")
    framed = np.insert(distinct, 0, FRAME_ID, axis=1)
    block = rows_at_once(model, framed.shape[1])
    for low in range(0, len(order), block):
        rows = order[low : low + block]
        first, last = place[rows[0]], place[rows[-1]]
        logits = next_logits(model, framed[first : last + 1])
        if not np.isfinite(logits).all():
            raise NumericalError("the model's logits are not finite")
        yield rows, logits[place[rows] - first]
        progress.advance(len(rows))


def _losses(logits: NDArray[np.float32], tokens: GraphTokens, particles: Rows) -> Floats:
    """−ln P of each particle among all tokens, and among particles: float64 (m, 2)."""
    first = tokens.first_particle
    own = logits[np.arange(len(logits)), first + particles].astype(np.float64)
    sums = [_log_sum(part) for part in (logits, logits[:, first:])]
    return np.stack(sums, axis=1) - own[:, None]


def _log_sum(logits: NDArray[np.float32]) -> Floats:
    top = logits.max(axis=1)
    sums = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    return np.asarray(np.log(sums) + top)


def _beside(losses: Floats, references: References, tokens: GraphTokens) -> LinkLosses:
    model, among = losses.mean(axis=0).tolist()
    return LinkLosses(
        asked=len(losses),
        model=model,
        among_particles=among,
        uniform=float(np.log(tokens.particles)),
        prior=float(-np.log(references.prior).mean()),
        exact_graph=float(-np.log(references.exact).mean()),
    )


def _ranked(ranks: Floats, lacking: int) -> LinkRanks:
    """Of the ranks of n links forwards, then backwards, and of ``lacking`` never found."""
    never = np.full(lacking, np.inf)
    objects, subjects = (np.concatenate((half, never)) for half in np.split(ranks, 2))
    both = np.concatenate((objects, subjects))
    return LinkRanks(*(Ranking.of(each) for each in (objects, subjects, both)))


def _refuse_nothing(rows: Rows) -> None:
    if not len(rows):
        raise InputError("there is no link that the graph knows all names of, to be scored on")
