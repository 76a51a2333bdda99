"""Objects of a query predicted from relation paths, with weights fitted in closed steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.bodies import Bodies, depth_of, find_bodies
from structinit_core.graph.prediction.candidates import best_candidates, features_of, training_rows
from structinit_core.graph.prediction.directed import Directed
from structinit_core.graph.prediction.logit import Choices, newton
from structinit_core.graph.prediction.predictions import Predictions
from structinit_core.graph.prediction.prior import Prior, fit_prior
from structinit_core.linalg import generator


@dataclass(frozen=True)
class PathOptions:
    """How much is looked at.

    depth: longest body, 0 for none, ``None`` for :func:`depth_of`; ends: a body that reaches
    more says nothing; bodies: kept for each directed relation; links: of each relation, left
    out in turn, to count bodies and to fit weights; entries: at most so many numbers in the rows
    of one fit (12 bytes each); ridge: of the weights.
    """

    depth: int | None = None
    ends: int = 1000
    bodies: int = 100
    links: int = 2000
    entries: int = 1 << 23
    ridge: float = 3.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PathModel:
    """Bodies and weights of each directed relation, and the prior of all else.

    weights: of each relation float64 (F,), features as in ``candidates``; loops: bool (2S,), has
    the relation a link from a particle to itself.
    """

    links: Directed
    prior: Prior
    bodies: tuple[Bodies, ...]
    weights: tuple[NDArray[np.float64], ...]
    loops: NDArray[np.bool_]
    ends: int

    def predict(
        self, subject: NDArray[np.int32], relation: NDArray[np.int32], top: int = 30
    ) -> Predictions:
        """The ``top`` best objects of each query and their scores, in the order asked.

        Time O(walks of the kept bodies) a query, memory O(P + n · top).
        """
        order = np.argsort(relation, kind="stable")
        # Of no query at all, so that nothing asked is nothing predicted.
        parts = [(np.zeros(1, int), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0))]
        for asked in np.unique(relation):
            rows = order[slice(*np.searchsorted(relation[order], [asked, asked + 1]))]
            parts.append(
                best_candidates(
                    self.links.table,
                    self.bodies[asked].tree,
                    self.weights[asked],
                    int(asked),
                    subject[rows],
                    self.prior.log_probability(int(asked)),
                    bool(self.loops[asked]),
                    self.ends,
                    top,
                )
            )
        counts = np.concatenate([np.diff(part[0]) for part in parts])
        objects, scores, normalisers = (
            np.concatenate([part[column] for part in parts]) for column in (1, 2, 3)
        )
        indptr = np.r_[0, np.cumsum(counts)]
        grouped = Predictions(subject[order], relation[order], indptr, objects, scores, normalisers)
        return grouped.only(np.argsort(order))

    def scores(self, predictions: Predictions) -> NDArray[np.float32]:
        """The score of every particle for each query: float32 (n, P)."""
        scores = np.empty((len(predictions), self.links.particles), np.float32)
        for asked in np.unique(predictions.relation):
            rows = np.flatnonzero(predictions.relation == asked)
            scores[rows] = self.prior.log_probability(int(asked))
            if not self.loops[asked]:
                scores[rows, predictions.subject[rows]] = -np.inf
        scores[predictions.query, predictions.object] = predictions.score
        return scores


def fit_paths(links: Directed, options: PathOptions | None = None) -> PathModel:
    """Bodies by counting and weights by Newton's method, links left out in turn.

    Deterministic: links are drawn by a generator of the seed and the relation. Time O(links
    drawn · walks), memory O(P + entries). Source: ours; bodies and their confidence after
    AnyBURL (Meilicke et al. 2019), walk chances after PRA (Lao and Cohen 2010), joint weights by
    conditional logit (McFadden 1974).
    """
    options = options or PathOptions()
    depth = depth_of(links) if options.depth is None else options.depth
    prior, every = fit_prior(links), links.links()
    loops = np.zeros(links.relations, np.bool_)
    loops[every[every[:, 0] == every[:, 2], 1]] = True
    order = np.argsort(every[:, 1], kind="stable")
    bounds = np.searchsorted(every[order, 1], np.arange(links.relations + 1))
    bodies, weights = [], []
    for relation in range(links.relations):
        rows = order[bounds[relation] : bounds[relation + 1]]
        drawn = generator(options.seed, "paths", str(relation)).permutation(len(rows))
        queries = every[rows[drawn[: options.links]]]
        found = Bodies.of([], np.zeros(0))
        if depth and len(queries):
            found = find_bodies(
                links, queries, depth=depth, most=options.ends, count=options.bodies
            )
        bodies.append(found)
        weights.append(_weights(links, prior, found, queries, bool(loops[relation]), options))
    return PathModel(links, prior, tuple(bodies), tuple(weights), loops, options.ends)


def _weights(
    links: Directed,
    prior: Prior,
    bodies: Bodies,
    queries: NDArray[np.int32],
    loops: bool,
    options: PathOptions,
) -> NDArray[np.float64]:
    """The weights of one relation's features: float64 (F,)."""
    if not len(queries):
        return np.zeros(features_of(len(bodies.bodies)))
    relation = int(queries[0, 1])
    of_query, rows, feature, value, rest, chosen = training_rows(
        links.table,
        bodies.tree,
        len(bodies.bodies),
        links.inverse(relation),
        queries,
        prior.log_probability(relation),
        prior.left_out(relation, queries[:, 2]),
        loops,
        options.ends,
        options.entries,
    )
    once, times = np.ones(len(rows) - 1), np.ones(len(rest))
    choices = Choices(of_query, rows, once, feature, value, rest, times, chosen)
    return newton(choices, options.ridge)
