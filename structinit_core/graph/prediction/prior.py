"""How likely each particle is as the object of a relation, whatever the subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.alike import Alike, alike
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
    particles are alike; those of one kind are to every relation. Source: ours.
    """

    links: Directed
    kinds: Alike
    weights: Floats
    log_normaliser: Floats

    def log_probability(self, relation: int) -> Floats:
        """The log P(o | r) of every particle: float64 (P,). Time O(P + runs of the kinds)."""
        return self.of_kinds(relation)[self.kinds.of]

    def of_kinds(self, relation: int) -> Floats:
        """The same of a particle of each kind: float64 (G,)."""
        links, weights = self.kinds.links, self.weights[relation]
        degrees = _Degrees.of(self.kinds, relation)
        of_runs = weights[NUMBERS + links.run_relation]
        of_runs[links.run_relation == links.inverse(relation)] = 0
        present = np.bincount(links.owner, of_runs, minlength=links.particles)
        scores = degrees.features(degrees.here, degrees.all) @ weights[:NUMBERS] + present
        return np.asarray(scores - self.log_normaliser[relation])

    def left_out(self, relation: int, objects: NDArray[np.int32]) -> Floats:
        """The same of the objects of n links of r, each as if its link were not there: (n,)."""
        degrees, weights = _Degrees.of(self.kinds, relation), self.weights[relation, :NUMBERS]
        of = self.kinds.of[objects]
        with_it = degrees.features(degrees.here[of], degrees.all[of])
        without = degrees.features(degrees.here[of] - 1, degrees.all[of] - 1)
        change = (without - with_it) @ weights
        return np.asarray(self.of_kinds(relation)[of] + change)


def fit_prior(links: Directed) -> Prior:
    """The prior of each directed relation, by Newton's method on all its links.

    Time O((G + runs of the kinds) · features a particle) a step and relation, memory some 100
    bytes a kind and 20 a run of one.
    """
    weights = np.zeros((links.relations, NUMBERS + links.relations))
    normalisers = np.zeros(links.relations)
    kinds = alike(links)
    for relation in range(links.relations):
        degrees = _Degrees.of(kinds, relation)
        if degrees.here.any():
            weights[relation] = newton(_choices(kinds, relation, degrees))
    prior = Prior(links, kinds, weights, normalisers)
    log_times = np.log(kinds.times)
    for relation in range(links.relations):
        normalisers[relation] = np.logaddexp.reduce(prior.of_kinds(relation) + log_times)
    return prior


@dataclass(frozen=True, eq=False)
class _Degrees:
    """Of a particle of each kind how many links of r, and of all, lead to it: int64 (G,).

    total, linked: the sum of ``here`` over all P particles, and how many have any; total_all and
    linked_all: the same of ``all``. discounts: what is taken off each.
    """

    here: Ints
    all: Ints
    total: float
    linked: float
    total_all: float
    linked_all: float
    discount: float
    discount_all: float
    particles: int

    @classmethod
    def of(cls, kinds: Alike, relation: int) -> _Degrees:
        links, times = kinds.links, kinds.times
        here = links.degrees(links.inverse(relation))
        every = np.diff(links.run_start[links.runs])
        (total, linked), (total_all, linked_all) = (
            (float(one @ times), float(times[one > 0].sum())) for one in (here, every)
        )
        return cls(
            here=here,
            all=every,
            total=total,
            linked=linked,
            total_all=total_all,
            linked_all=linked_all,
            discount=_discount(here, times),
            discount_all=_discount(every, times),
            particles=len(kinds.of),
        )

    def features(self, here: Ints, every: Ints) -> Floats:
        """The four numbers of particles with these degrees: float64 (n, 4)."""
        unit = self.discount_all * max(self.linked_all, 1) / self.particles
        background = (np.maximum(every - self.discount_all, 0) + unit) / max(self.total_all, 1)
        kept = np.maximum(here - self.discount, 0)
        share = kept + self.discount * max(self.linked, 1) * background
        share /= max(self.total, 1)
        columns = (np.log(share), here > 0, here > 1, np.log1p(here))
        return np.stack(columns, 1).astype(np.float64)


def _discount(counts: Ints, times: Floats) -> float:
    """What Kneser and Ney take off each count, n₁/(n₁ + 2·n₂), each n₁ and n₂ one more."""
    once, twice = (float(times[counts == degree].sum()) + 1 for degree in (1, 2))
    return once / (once + 2 * twice)


def _choices(kinds: Alike, relation: int, degrees: _Degrees) -> Choices:
    """All particles as the candidates of one query, asked once for each link of r."""
    links, features = kinds.links, NUMBERS + kinds.links.relations
    count = links.particles
    other = links.run_relation != links.inverse(relation)
    owner = links.owner[other]
    rows = np.r_[0, np.cumsum(NUMBERS + np.bincount(owner, minlength=count))]
    is_number = np.zeros(rows[-1], np.bool_)
    is_number[rows[:-1, None] + np.arange(NUMBERS)] = True
    feature, value = np.empty(rows[-1], np.int32), np.ones(rows[-1], np.float32)
    feature[is_number] = np.tile(np.arange(NUMBERS), count)
    feature[~is_number] = NUMBERS + links.run_relation[other]
    value[is_number] = degrees.features(degrees.here, degrees.all).ravel()
    chosen = np.zeros(features)
    asked = degrees.here * kinds.times
    np.add.at(chosen, feature[~is_number], asked[owner])
    without = degrees.features(np.maximum(degrees.here - 1, 0), np.maximum(degrees.all - 1, 0))
    chosen[:NUMBERS] = asked @ without
    return Choices(
        queries=np.array([0, count]),
        rows=rows.astype(np.int64),
        copies=kinds.times,
        feature=feature,
        value=value,
        rest=np.zeros(1),
        times=np.array([degrees.total]),
        chosen=chosen,
    )
