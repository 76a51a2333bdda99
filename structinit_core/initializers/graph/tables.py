"""What follows what in the sequences of a graph, as one table of expected counts."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph import Graph
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

_WALKS = 0.5
"""Share of the sequences that are plain walks, where links have types, too."""


Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def next_tokens(graph: Graph, tokens: GraphTokens, focus: NDArray[np.float64]) -> sp.csr_array:
    """Expected counts of neighbouring tokens: CSR float64 (V, V), of total mass 1.

    The sum of :func:`neighbours` that share a cell.
    """
    rows, columns, mass = neighbours(graph, tokens, focus)
    table = sp.coo_array((mass, (rows, columns)), shape=(tokens.vocabulary,) * 2).tocsr()
    table.data /= table.data.sum()
    return table


def neighbours(graph: Graph, tokens: GraphTokens, focus: NDArray[np.float64]) -> Cells:
    """A token, the one after it and how much of it is expected: three (n,) arrays.

    Sequences are `subject relation object` and, by inverse tokens, the other way round, each
    link by its weight, and plain walks `p q` between two linked particles, framed at both
    ends; where there is one relation only, half of them are still typed. The first particle
    of a sequence is drawn by ``focus`` and by the links' own weights in equal parts. Memory
    and time O(E + P). Source: ours.
    """
    weight = graph.weight / graph.weight.sum()
    subject, object_ = tokens.particle(graph.subject), tokens.particle(graph.object)
    forward = tokens.relation(graph.relation)
    inverse = tokens.relation(graph.relation + tokens.relations)
    particles = tokens.particle(np.arange(tokens.particles))
    frame = np.array([FRAME_ID])
    typed, plain = (1 - _WALKS) / 2 * weight, _WALKS * weight
    cells = [
        (subject, forward, typed),
        (forward, object_, typed),
        (object_, inverse, typed),
        (inverse, subject, typed),
        (subject, object_, plain),
        (frame, subject, (typed + plain) / 2),
        (frame, object_, typed / 2),
        (frame, particles, focus / focus.sum() / 2),
        (object_, frame, typed + plain),
        (subject, frame, typed),
    ]
    rows = np.concatenate([np.broadcast_to(a, mass.shape) for a, _, mass in cells])
    columns = np.concatenate([np.broadcast_to(b, mass.shape) for _, b, mass in cells])
    return rows, columns, np.concatenate([part for _, _, part in cells])
