"""Which relation paths say something about a relation: counted on links left out in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph.prediction.directed import Directed
from structinit_core.graph.prediction.walks import LONGEST, count_bodies

Body = tuple[int, ...]
MOST_BODIES = 1 << 22
"""No more bodies are counted at a time: 64 MiB."""
MOST_WALKS = 100_000
"""Lengths are tried up to which the median subject has at most so many walks."""
UNSEEN = 5
"""Ends that are added to what a body reached, none of them right (AnyBURL, Meilicke 2019)."""


@dataclass(frozen=True, eq=False)
class Bodies:
    """The bodies kept for one relation, as a tree in preorder.

    bodies: B tuples of directed relations, best first; confidence: float64 (B,), right ends of
    all. Tree: relation and level (from 1) of each node, which body ends there or -1, and the
    node behind its descendants; all int64.
    """

    bodies: tuple[Body, ...]
    confidence: NDArray[np.float64]
    tree: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, bodies: list[Body], confidence: NDArray[np.float64]) -> Bodies:
        """The tree of distinct bodies."""
        nodes = sorted({body[:length] for body in bodies for length in range(1, len(body) + 1)})
        numbers = {body: number for number, body in enumerate(bodies)}
        levels = np.array([len(node) for node in nodes], np.int64)
        behind = np.full(len(nodes), len(nodes), np.int64)
        for node, level in enumerate(levels):
            later = np.flatnonzero(levels[node + 1 :] <= level)
            if len(later):
                behind[node] += node + 1 + later[0] - len(nodes)
        ends = np.array([numbers.get(node, -1) for node in nodes], np.int64)
        relations = np.array([node[-1] for node in nodes], np.int64)
        return cls(tuple(bodies), confidence, (relations, levels, ends, behind))


def body_of(number: int, relations: int) -> Body:
    """The body that :func:`count_bodies` gives a number to; ``relations`` is 2S."""
    body: Body = ()
    while number >= 0:
        body = (number % relations, *body)
        number = number // relations - 1
    return body


def depth_of(links: Directed) -> int:
    """The longest bodies worth their time: as many as :data:`LONGEST` links, or fewer.

    So many that the median link's subject has at most :data:`MOST_WALKS` walks, and that there
    are at most :data:`MOST_BODIES` bodies; at least one.
    """
    walks = np.ones(links.particles)
    degrees = np.diff(links.run_start[links.runs])
    begins = links.run_start[links.runs]
    entries = (np.ones(len(links.neighbour)), links.neighbour, begins)
    step = sp.csr_array(entries, shape=(links.particles, links.particles))
    depth, bodies = 0, 0
    while depth < LONGEST:
        bodies = (bodies + 1) * links.relations
        walks = step @ walks
        median = np.median(np.repeat(walks, degrees)) if len(links.neighbour) else 0
        if depth and (bodies > MOST_BODIES or median > MOST_WALKS):
            break
        depth += 1
    return depth


def find_bodies(
    links: Directed, queries: NDArray[np.int32], *, depth: int, most: int, count: int
) -> Bodies:
    """The best ``count`` bodies of up to ``depth`` links for a relation, fewer if there are not.

    queries: int32 (n, 3) links of that directed relation, left out in turn. A body that led to
    the object at least twice counts, by confidence · √(times); ties by number. ``most`` bounds
    the ends of a body. Memory O(P + (2S)^depth).
    """
    relation = int(queries[0, 1])
    counts = count_bodies(
        links.table, links.relations, links.inverse(relation), queries, depth, most
    )
    reached, right = counts[:, 0], counts[:, 1]
    usable = np.flatnonzero(right >= 2)
    confidence = right[usable] / (reached[usable] + UNSEEN)
    order = np.lexsort((usable, -confidence * np.sqrt(right[usable])))[:count]
    bodies = [body_of(int(number), links.relations) for number in usable[order]]
    return Bodies.of(bodies, confidence[order])
