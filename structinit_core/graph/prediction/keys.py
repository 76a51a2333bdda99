"""Which queries are worth storing: those likely to be asked and well answered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.model import PathModel
from structinit_core.graph.prediction.predictions import Predictions
from structinit_core.graph.prediction.prior import Prior

CONSIDERED = 2
"""Queries that are predicted for each that is kept."""


def asked_most(prior: Prior, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The ``count`` queries (subject, directed relation) most likely of a new link, in order.

    A new link has relation r as often as a known one, and its subject is the object of r's
    inverse: P(r)·P(s | r⁻¹). Ties by relation, then subject. Time O(S·P), memory O(P + count).
    """
    links = prior.links
    value = np.zeros(0)
    subject, relation = np.zeros(0, np.int32), np.zeros(0, np.int32)
    for asked in range(links.relations):
        back = links.inverse(asked)
        total = links.degrees(asked).sum()
        if not total:
            continue
        value = np.r_[value, np.log(total) + prior.log_probability(back)]
        subject = np.r_[subject, np.arange(links.particles, dtype=np.int32)]
        relation = np.r_[relation, np.full(links.particles, asked, np.int32)]
        best = np.argsort(-value, kind="stable")[:count]
        value, subject, relation = value[best], subject[best], relation[best]
    return subject, relation


def worth(predictions: Predictions, prior: Prior) -> NDArray[np.float64]:
    """What each query's scores add to the mean reciprocal rank of new links: float64 (n,).

    Up to a factor: the chance that a new link asks it times Σ chance of the k-th object / k.
    """
    links = prior.links
    place, query = predictions.place, predictions.query
    chance = np.exp(predictions.score - predictions.log_normaliser[query])
    gain = np.bincount(query, chance / (place + 1), minlength=len(predictions))
    for asked in np.unique(predictions.relation):
        of = predictions.relation == asked
        subject = prior.log_probability(links.inverse(int(asked)))[predictions.subject[of]]
        gain[of] *= links.degrees(int(asked)).sum() * np.exp(subject)
    return np.asarray(gain, np.float64)


def valuable(model: PathModel, count: int, top: int = 30) -> Predictions:
    """Predictions of the ``count`` queries most worth storing, most valuable first.

    Of twice as many that are asked most. Memory O(P + count · top).
    """
    predictions = model.predict(*asked_most(model.prior, CONSIDERED * count), top)
    order = np.argsort(-worth(predictions, model.prior), kind="stable")
    return predictions.only(order[:count])
