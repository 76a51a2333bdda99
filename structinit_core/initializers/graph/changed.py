"""Which queries new links ask for anew, and where in a compiled graph they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph import Graph
from structinit_core.initializers.graph.earlier import Earlier

_SAME = 1e-9
"""Relative change of a link's weight, beside that of all, that is none."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Changed:
    """What is stored again: queries s·2S + r, and the layer and unit of each.

    key: int64 (n,), the row of a key that was there before, -1 for a unit that was free.
    same: bool (n,), that key asked the same query. objects: CSR (n, P), weights of the links;
    new: CSR (n, P), those of new links alone.
    """

    query: Ints
    key: Ints
    same: NDArray[np.bool_]
    layer: Ints
    unit: Ints
    objects: sp.csr_array
    new: sp.csr_array

    def only(self, chosen: NDArray[np.bool_]) -> Changed:
        """Some of them, ``chosen`` (n,)."""
        rows = np.flatnonzero(chosen)
        return Changed(
            self.query[rows],
            self.key[rows],
            self.same[rows],
            self.layer[rows],
            self.unit[rows],
            sp.csr_array(self.objects[rows]),
            sp.csr_array(self.new[rows]),
        )


def changed_keys(
    graph: Graph, weight: NDArray[np.float64], value: NDArray[np.float64], earlier: Earlier
) -> Changed:
    """The keys that ``graph`` changes, ``weight`` (n,) being those of its first n links before.

    Queries of links that are new, or weigh more or less beside all others than before. A query
    that has no unit yet takes one that is free, or else that of a key with predicted objects
    alone, the least valuable first, or else, where both would not be stored by ``value`` (E,) in
    a full compilation, that of a known one. Time O((E + K) log E).
    """
    relations, count = 2 * len(graph.relations), len(weight)
    subject = np.concatenate((graph.subject, graph.object)).astype(np.int64)
    relation = np.concatenate((graph.relation, graph.relation + relations // 2))
    asked = subject * relations + relation
    query, which = np.unique(asked, return_inverse=True)
    fresh = np.ones(len(graph), np.bool_)
    factor = graph.weight[:count] / weight
    fresh[:count] = np.abs(factor / np.median(factor) - 1) > _SAME if count else False
    changed = np.unique(which[np.tile(fresh, 2)])
    stored = earlier.kept.answered.subject * relations + earlier.kept.answered.relation
    order = np.argsort(stored)
    place = np.minimum(np.searchsorted(stored[order], query), len(stored) - 1)
    key = np.where(stored[order[place]] == query, order[place], -1)
    here = changed[key[changed] >= 0]
    entering = changed[key[changed] < 0]
    worth = np.bincount(which, np.tile(value, 2))
    entering = entering[np.argsort(-worth[entering], kind="stable")]
    layer, unit, left = _room(query, key, worth, entering, earlier)
    entering = entering[: len(left)]
    here = here[~np.isin(key[here], left)]
    chosen = np.concatenate((here, entering))
    keys = np.concatenate((key[here], left))
    row = np.full(len(query), -1)
    row[chosen] = np.arange(len(chosen))
    into = row[which] >= 0
    cells = row[which][into], np.concatenate((graph.object, graph.subject))[into]
    shape = (len(chosen), len(graph.particles))
    weights = np.tile(graph.weight, 2)[into]
    is_new = np.tile(np.arange(len(graph)) >= count, 2)[into]
    of_new = cells[0][is_new], cells[1][is_new]
    answered = earlier.kept.answered
    return Changed(
        query[chosen],
        keys,
        np.arange(len(chosen)) < len(here),
        np.concatenate((answered.layer[key[here]].astype(np.int64), layer)),
        np.concatenate((answered.unit[key[here]].astype(np.int64), unit)),
        sp.coo_array((weights, cells), shape).tocsr(),
        sp.coo_array((weights[is_new], of_new), shape).tocsr(),
    )


def _room(
    query: Ints, key: Ints, worth: NDArray[Any], entering: Ints, earlier: Earlier
) -> tuple[Ints, Ints, Ints]:
    """Layer, unit and earlier key (-1: none) for as many of ``entering`` as there is room for."""
    answered, width = earlier.kept.answered, earlier.blueprint.feed_forward
    last = np.zeros(earlier.blueprint.layers, np.int64)
    np.maximum.at(last, answered.layer, answered.unit + 1)
    # A layer without a key may hold maps, so only what lies behind keys is known to be free.
    layers = [np.full(width - end, at) for at, end in enumerate(last) if end]
    units = [np.arange(end, width) for end in last if end]
    layer, unit = np.concatenate(layers), np.concatenate(units)
    known = np.zeros(len(answered.layer), np.bool_)
    known[key[key >= 0]] = True
    leaving = np.flatnonzero(~known)[::-1]
    short = len(entering) - len(unit) - len(leaving)
    if short > 0:
        room = len(answered.layer) + len(unit)
        best = np.zeros(len(query), np.bool_)
        best[np.argsort(-worth, kind="stable")[:room]] = True
        weak = np.flatnonzero(~best & (key >= 0))
        weak = weak[np.argsort(worth[weak], kind="stable")]
        wanted = int(best[entering].sum()) - len(unit) - len(leaving)
        leaving = np.concatenate((leaving, key[weak][: max(wanted, 0)]))
    taken = np.concatenate((np.full(len(unit), -1), leaving))[: len(entering)]
    of_keys = leaving[: max(0, len(entering) - len(unit))]
    layer = np.concatenate((layer, answered.layer[of_keys]))[: len(entering)].astype(np.int64)
    unit = np.concatenate((unit, answered.unit[of_keys]))[: len(entering)].astype(np.int64)
    return layer, unit, taken
