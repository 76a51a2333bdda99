"""Links as sequences to score: what a model of them would lose, and what simpler ones do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph import Graph
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

_MOST = 1024


@dataclass(frozen=True, eq=False)
class LinkText:
    """n links, evenly spaced among all. ids: uint32 (n, T), the object last.

    Losses of the object in nats, means over these links: uniform: of all V tokens alike; unigram:
    by its share of all links' weight; exact: by its share of the links from the same subject, or
    of the same subject and relation where the sequence names it.
    """

    ids: NDArray[np.uint32]
    uniform: float
    unigram: float
    exact: float


def link_text(graph: Graph, *, typed: bool) -> LinkText:
    """Sequences ``subject object``, or ``frame subject relation object``. O(E·log E)."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    chosen = np.linspace(0, len(graph) - 1, min(len(graph), _MOST)).astype(np.int64)
    subject, object_ = tokens.particle(graph.subject), tokens.particle(graph.object)
    named = graph.relation.astype(np.int64) if typed else np.zeros(len(graph), np.int64)
    asked = graph.subject.astype(np.int64) * max(len(graph.relations), 1) + named
    answered = asked * len(graph.particles) + graph.object
    columns = [subject, object_]
    if typed:
        frame = np.full(len(graph), FRAME_ID)
        columns = [frame, subject, tokens.relation(graph.relation), object_]
    sums = [_sums(key, graph.weight)[chosen] for key in (graph.object, asked, answered)]
    into, out, both = sums
    return LinkText(
        ids=np.stack(columns, axis=1)[chosen].astype(np.uint32),
        uniform=float(np.log(tokens.vocabulary)),
        unigram=-float(np.log(into / graph.weight.sum()).mean()),
        exact=-float(np.log(both / out).mean()),
    )


def _sums(key: NDArray[np.integer], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each link the weight of all with its key."""
    each, row = np.unique(key, return_inverse=True)
    return np.bincount(row, weight, len(each)).astype(np.float64)[row]
