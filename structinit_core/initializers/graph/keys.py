"""What is stored under keys: the objects a graph knows, and those that its paths predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph import Graph, PathModel, Predictions, asked_most, worth
from structinit_core.initializers.graph.tokens import GraphTokens

KNOWN = 0.8
"""Probability of the known objects of a key, where there are any, together."""
MARGIN = 1.0
"""Nats between the least likely known object of a key and the likeliest that is predicted."""
PREDICTED = 5
"""Objects predicted for a key, at most."""
_SURE = 0.99
_CONSIDERED = 2
_UNLISTED = 1e-3


@dataclass(frozen=True)
class Keys:
    """What to store: at token ``own`` after token ``before`` the chances of objects.

    before, own: int64 (K,); objects: CSR float64 (K, P), and others: float64 (K,), what all
    other objects have together, both up to a factor of each key; known: bool (nnz,), which
    are links of the graph. The most valuable come first.
    """

    before: NDArray[np.int64]
    own: NDArray[np.int64]
    objects: sp.csr_array
    others: NDArray[np.float64]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        """K."""
        return len(self.own)

    @property
    def of_entries(self) -> NDArray[np.int64]:
        """The key of every entry of ``objects``, (nnz,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.objects.indptr))

    def only(self, chosen: NDArray[np.bool_]) -> Keys:
        """Some of the keys, ``chosen`` (K,)."""
        entries = np.repeat(chosen, np.diff(self.objects.indptr))
        rows = sp.csr_array(self.objects[np.flatnonzero(chosen)])
        parts = self.before[chosen], self.own[chosen], rows, self.others[chosen]
        return Keys(*parts, self.known[entries])

    def facts(self, tokens: GraphTokens) -> NDArray[np.int32]:
        """Their known objects, (n, 3) of subject, directed relation, object."""
        key = self.of_entries[self.known]
        subject, relation = self.before - tokens.first_particle, tokens.directed(self.own)
        columns = subject[key], relation[key], self.objects.indices[self.known]
        return np.stack(columns, axis=1).astype(np.int32)

    def predicted(self) -> NDArray[np.int32]:
        """How many objects of each key are no links, (K,)."""
        return np.bincount(self.of_entries[~self.known], minlength=len(self)).astype(np.int32)


def choose_keys(
    graph: Graph,
    model: PathModel | None,
    tokens: GraphTokens,
    room: int,
    value: NDArray[np.float64],
) -> Keys:
    """At most ``room`` queries (s, r) with what the graph knows and ``model`` predicts.

    First those with known objects, by the ``value`` (E,) of their links, both ways; then
    those without that new links are likeliest to ask and paths answer best. Known objects
    share 0.8 by weight, all others what is left in the proportions predicted, the likeliest at
    most e⁻¹ of the least likely known one; without a model the known ones share 0.99.
    """
    relations = len(graph.relations)
    subject = np.concatenate((graph.subject, graph.object)).astype(np.int64)
    relation = np.concatenate((graph.relation, graph.relation + relations))
    object_ = np.concatenate((graph.object, graph.subject))
    query, which = np.unique(subject * (2 * relations) + relation, return_inverse=True)
    order = np.argsort(-np.bincount(which, np.tile(value, 2)), kind="stable")[:room]
    place = np.full(len(query), -1)
    place[order] = np.arange(len(order))
    kept = place[which] >= 0
    weights = np.tile(graph.weight, 2)[kept]
    shape = (len(order), len(graph.particles))
    known = sp.coo_array((weights, (place[which][kept], object_[kept])), shape=shape).tocsr()
    keys = known_keys(query[order], known, model, tokens)
    if model is None:
        return keys
    new = _new_queries(model, query, room - len(order), relations)
    fresh, their_others = _chances(new, shape[1], 1.0, np.ones(len(new)))
    asked = new.subject.astype(np.int64) * (2 * relations) + new.relation
    return _keys(
        np.concatenate((query[order], asked)),
        sp.csr_array(sp.vstack((keys.objects, fresh))),
        np.concatenate((keys.others, their_others)),
        np.concatenate((keys.known, np.zeros(fresh.nnz, np.bool_))),
        tokens,
    )


def known_keys(
    asked: NDArray[np.int64], weights: sp.csr_array, model: PathModel | None, tokens: GraphTokens
) -> Keys:
    """Keys of queries s·2S + r, (K,), whose known objects have ``weights``, CSR (K, P)."""
    share = _SURE if model is None else KNOWN
    known = sp.csr_array(sp.diags_array(share / weights.sum(axis=1)) @ weights)
    known.sort_indices()
    if model is None:
        others = np.full(len(asked), 1 - share)
        return _keys(asked, known, others, np.ones(known.nnz, np.bool_), tokens)
    here = model.predict(*_split(asked, tokens.relations), PREDICTED)
    least = np.minimum.reduceat(known.data, known.indptr[:-1])
    chances, others = _chances(here, known.shape[1], 1 - KNOWN, least * np.exp(-MARGIN))
    objects = sp.csr_array(known + chances)
    objects.sort_indices()
    return _keys(asked, objects, others, _among(objects, known), tokens)


def at_home(keys: Keys) -> Keys:
    """``keys`` with what a short answer holds: every object in one key of several, at most.

    That is the most valuable one which names it, its home; keys of a single object name it
    whatever its home. Facts beyond these and predictions are left out, and keys of nothing.
    """
    row = keys.of_entries
    counts = np.bincount(row[keys.known], minlength=len(keys))
    several = np.flatnonzero(keys.known & (counts[row] > 1))
    _, first = np.unique(keys.objects.indices[several], return_index=True)
    kept = keys.known & (counts[row] == 1)
    kept[several[first]] = True
    cells = row[kept], keys.objects.indices[kept]
    objects = sp.coo_array((keys.objects.data[kept], cells), shape=keys.objects.shape).tocsr()
    some = np.flatnonzero(np.diff(objects.indptr))
    known = np.ones(objects.nnz, np.bool_)
    return Keys(keys.before[some], keys.own[some], objects[some], keys.others[some], known)


def _among(objects: sp.csr_array, known: sp.csr_array) -> NDArray[np.bool_]:
    """Which entries of ``objects`` are in ``known``, of its first rows."""
    columns = objects.shape[1]
    return np.isin(_cells(objects, columns), _cells(known, columns), assume_unique=True)


def _cells(matrix: sp.csr_array, columns: int) -> NDArray[np.int64]:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    cells: NDArray[np.int64] = rows * columns + matrix.indices
    return cells


def _new_queries(
    model: PathModel, known: NDArray[np.int64], room: int, relations: int
) -> Predictions:
    """The queries without a known object that are most worth storing, best first."""
    if room <= 0:
        return model.predict(np.zeros(0, np.int32), np.zeros(0, np.int32))
    subject, relation = asked_most(model.prior, _CONSIDERED * room + len(known))
    new = ~np.isin(subject.astype(np.int64) * (2 * relations) + relation, known)
    chosen = np.flatnonzero(new)[: _CONSIDERED * room]
    found = model.predict(subject[chosen], relation[chosen], PREDICTED)
    found = found.only(np.flatnonzero(np.diff(found.indptr) > 0))
    return found.only(np.argsort(-worth(found, model.prior), kind="stable")[:room])


def _chances(
    found: Predictions, particles: int, mass: float, most: NDArray[np.float64]
) -> tuple[sp.csr_array, NDArray[np.float64]]:
    """Chances of predicted objects, CSR (n, P), and of all others together, (n,).

    Of sum ``mass``, or less where one would be above ``most`` (n,).
    """
    query = found.query
    chance = np.exp(found.score - found.log_normaliser[query])
    total, largest = np.bincount(query, chance, len(found)), np.zeros(len(found))
    np.maximum.at(largest, query, chance)
    scale = np.minimum(mass, most / np.maximum(largest, 1e-30))
    data = np.maximum(chance * scale[query], 1e-30)
    rows = sp.csr_array((data, found.object, found.indptr), shape=(len(found), particles))
    rows.sort_indices()
    return rows, scale * np.maximum(1 - total, _UNLISTED)


def _split(asked: NDArray[np.int64], relations: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Subjects and directed relations."""
    subject, relation = np.divmod(asked, 2 * relations)
    return subject.astype(np.int32), relation.astype(np.int32)


def _keys(
    asked: NDArray[np.int64],
    objects: sp.csr_array,
    others: NDArray[np.float64],
    known: NDArray[np.bool_],
    tokens: GraphTokens,
) -> Keys:
    subject, relation = _split(asked, tokens.relations)
    return Keys(tokens.particle(subject), tokens.relation(relation), objects, others, known)
