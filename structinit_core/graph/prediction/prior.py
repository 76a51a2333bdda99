"""How likely each particle is as the object of a relation, whatever the subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.directed import Directed
from structinit_core.graph.prediction.logit import Choices, newton

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NUMBERS = 4
"""Features of a particle that are no relation."""


@dataclass(frozen=True, eq=False)
class Prior:
    """log P(o | r) by a log-linear model of what is known of o with the link itself left out.

    Its features: the log of o's share of the links of r, discounted as by Kneser and Ney over
    its share of all links; whether o is the object of one, and of two, links of r; log(1 + how
    many); and of each other directed relation, whether o has a link of it. So a particle that
    has its one hypernym is no likely subject of another.

    weights: float64 (2S, 4 + 2S). log_normaliser: float64 (2S,). To a relation without links all
    particles are alike. Source: ours.
    """

    links: Directed
    weights: Floats
    log_normaliser: Floats

    def log_probability(self, relation: int) -> Floats:
        """The log P(o | r) of every particle: float64 (P,). Time O(P + runs)."""
        links, weights = self.links, self.weights[relation]
        degrees = _Degrees.of(links, relation)
        of_runs = weights[NUMBERS + links.run_relation]
        of_runs[links.run_relation == links.inverse(relation)] = 0
        present = np.bincount(links.owner, of_runs, minlength=links.particles)
        scores = degrees.features(degrees.here, degrees.all) @ weights[:NUMBERS] + present
        return np.asarray(scores - self.log_normaliser[relation])

    def left_out(self, relation: int, objects: NDArray[np.int32]) -> Floats:
        """The same of the objects of n links of r, each as if its link were not there: (n,)."""
        degrees, weights = _Degrees.of(self.links, relation), self.weights[relation, :NUMBERS]
        with_it = degrees.features(degrees.here[objects], degrees.all[objects])
        without = degrees.features(degrees.here[objects] - 1, degrees.all[objects] - 1)
        change = (without - with_it) @ weights
        return np.asarray(self.log_probability(relation)[objects] + change)


def fit_prior(links: Directed) -> Prior:
    """The prior of each directed relation, by Newton's method on all its links.

    Time O((P + runs) · features a particle) a step and relation, memory some 100 bytes a
    particle and 20 a run.
    """
    weights = np.zeros((links.relations, NUMBERS + links.relations))
    normalisers = np.zeros(links.relations)
    for relation in range(links.relations):
        degrees = _Degrees.of(links, relation)
        if degrees.here.any():
            weights[relation] = newton(_choices(links, relation, degrees))
    prior = Prior(links, weights, normalisers)
    for relation in range(links.relations):
        normalisers[relation] = np.logaddexp.reduce(prior.log_probability(relation))
    return prior


@dataclass(frozen=True, eq=False)
class _Degrees:
    """Of each particle how many links of r, and of all, lead to it: int64 (P,); discounts."""

    here: Ints
    all: Ints
    discount: float
    discount_all: float

    @classmethod
    def of(cls, links: Directed, relation: int) -> _Degrees:
        here = links.degrees(links.inverse(relation))
        every = np.diff(links.run_start[links.runs])
        return cls(here, every, _discount(here), _discount(every))

    def features(self, here: Ints, every: Ints) -> Floats:
        """The four numbers of particles with these degrees: float64 (n, 4)."""
        unit = self.discount_all * max(int((self.all > 0).sum()), 1) / len(self.all)
        background = (np.maximum(every - self.discount_all, 0) + unit) / max(self.all.sum(), 1)
        kept = np.maximum(here - self.discount, 0)
        share = kept + self.discount * max(int((self.here > 0).sum()), 1) * background
        share /= max(self.here.sum(), 1)
        columns = (np.log(share), here > 0, here > 1, np.log1p(here))
        return np.stack(columns, 1).astype(np.float64)


def _discount(counts: Ints) -> float:
    """What Kneser and Ney take off each count, n₁/(n₁ + 2·n₂), each n₁ and n₂ one more."""
    once, twice = np.count_nonzero(counts == 1) + 1, np.count_nonzero(counts == 2) + 1
    return once / (once + 2 * twice)


def _choices(links: Directed, relation: int, degrees: _Degrees) -> Choices:
    """All particles as the candidates of one query, asked once for each link of r."""
    particles, features = links.particles, NUMBERS + links.relations
    other = links.run_relation != links.inverse(relation)
    owner = links.owner[other]
    rows = np.r_[0, np.cumsum(NUMBERS + np.bincount(owner, minlength=particles))]
    is_number = np.zeros(rows[-1], np.bool_)
    is_number[rows[:-1, None] + np.arange(NUMBERS)] = True
    feature, value = np.empty(rows[-1], np.int32), np.ones(rows[-1], np.float32)
    feature[is_number] = np.tile(np.arange(NUMBERS), particles)
    feature[~is_number] = NUMBERS + links.run_relation[other]
    value[is_number] = degrees.features(degrees.here, degrees.all).ravel()
    chosen = np.zeros(features)
    np.add.at(chosen, feature[~is_number], degrees.here[owner])
    without = degrees.features(np.maximum(degrees.here - 1, 0), np.maximum(degrees.all - 1, 0))
    chosen[:NUMBERS] = degrees.here @ without
    return Choices(
        queries=np.array([0, particles]),
        rows=rows.astype(np.int64),
        feature=feature,
        value=value,
        rest=np.zeros(1),
        times=np.array([degrees.here.sum()], np.float64),
        chosen=chosen,
    )
