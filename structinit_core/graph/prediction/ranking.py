"""Filtered ranks of links: mean reciprocal rank and Hits@k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.directed import Directed

BLOCK_BYTES = 64 << 20
Scores = Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.floating]]


@dataclass(frozen=True)
class Ranking:
    """Of n queries the mean of 1/rank, and the share of ranks up to 1, 3 and 10."""

    queries: int
    mrr: float
    hits_at_1: float
    hits_at_3: float
    hits_at_10: float

    @classmethod
    def of(cls, ranks: NDArray[np.float64]) -> Ranking:
        """The summary of n > 0 ranks."""
        hits = [float((ranks <= k).mean()) for k in (1, 3, 10)]
        return cls(len(ranks), float((1 / ranks).mean()), *hits)


def filtered_ranks(
    scores: Scores, queries: NDArray[np.int32], known: Directed, *, memory: int = BLOCK_BYTES
) -> NDArray[np.float64]:
    """The rank of each query's object among all particles, known other objects left out.

    queries: int32 (n, 3), subject, directed relation, object; ``scores`` gives float (m, P) of m
    subjects and relations; known: the links of all splits. Particles that score the same share
    the mean of their ranks; NaN counts as above the object. float64 (n,). Memory: about
    ``memory`` bytes of scores at a time. Source: Bordes et al. 2013, ties as Sun et al. 2020.
    """
    ranks = np.empty(len(queries))
    block = max(1, memory // max(1, 8 * known.particles))
    for low in range(0, len(queries), block):
        asked = queries[low : low + block]
        ranks[low : low + block] = ranks_of(scores(asked[:, 0], asked[:, 1]), asked, known)
    return ranks


def ranks_of(
    rows: NDArray[np.floating], queries: NDArray[np.int32], known: Directed
) -> NDArray[np.float64]:
    """The ranks of :func:`filtered_ranks` from the scores ``rows`` (n, P) of the queries."""
    own = rows[np.arange(len(rows)), queries[:, 2]][:, None]
    other = np.ones(rows.shape, np.bool_)
    for row, (subject, relation, object_) in zip(other, queries, strict=True):
        row[known.objects(subject, relation)] = False
        row[object_] = False
    level = other & (rows == own)
    above = other & ~(rows <= own)
    found: NDArray[np.float64] = 1 + above.sum(1) + level.sum(1) / 2
    return found
