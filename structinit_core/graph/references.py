"""What counting alone expects next: smoothed shares of a graph's own links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph.graph import Graph

Floats = NDArray[np.float64]
Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class References:
    """Probabilities of n asked particles: float64 (n,), each.

    ``prior`` knows what is asked but not of whom, ``exact`` both.
    """

    prior: Floats
    exact: Floats


def link_references(graph: Graph, queries: Rows) -> References:
    """Of objects of directed links: P(o | r), and P(o | s, r) of the graph's own links.

    queries: int32 (n, 3), subject, directed relation (r < S as it is, r + S its inverse),
    object. Both are smoothed by Witten and Bell: (c_ab + T_a·P(b)) / (c_a + T_a), where c are
    weights over the mean weight and T_a of them are not zero; P(o | s, r) falls back on
    P(o | r), that on P(o), the share of all link ends plus one each. Cost O(E) a relation.
    Source: Witten & Bell 1991, method C.
    """
    S = len(graph.relations)  # noqa: N806
    ends = sum(graph.adjacency().sum(axis=axis) for axis in (0, 1)) / graph.weight.mean() + 1
    prior, exact = np.empty(len(queries)), np.empty(len(queries))
    for relation in np.unique(queries[:, 1]).tolist():
        of = queries[:, 1] == relation
        table = graph.adjacency(relation % S)
        table = table.T.tocsr() if relation >= S else table
        prior[of], exact[of] = _shares(graph, table, queries[of][:, [0, 2]], ends / ends.sum())
    return References(prior, exact)


def walk_references(graph: Graph, steps: Rows) -> References:
    """Of the next particles of plain walks: P(q), and P(q | p) of the graph's own links.

    steps: int32 (n, 2), two linked particles. Smoothed as :func:`link_references`, P(q) by the
    uniform distribution. Cost O(P + E).
    """
    uniform = np.full(len(graph.particles), 1 / len(graph.particles))
    return References(*_shares(graph, graph.adjacency(), steps, uniform))


def _shares(graph: Graph, table: sp.csr_array, cells: Rows, base: Floats) -> tuple[Floats, Floats]:
    """P(b), and P(b | a), of cells (a, b) of a table of weights."""
    table = table / graph.weight.mean()
    columns = table.sum(axis=0)
    seen = np.count_nonzero(columns)
    prior = (columns + seen * base) / (columns.sum() + seen) if seen else base
    first, second = cells.T
    seen_after, mass = np.diff(table.indptr)[first], table.sum(axis=1)[first]
    found = np.asarray(table[first, second]).ravel() + seen_after * prior[second]
    exact = np.where(seen_after > 0, found / np.maximum(mass + seen_after, 1e-300), prior[second])
    return prior[second], exact
