"""Relations of untyped links, found in links that label other links."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.graph import UNTYPED, Graph
from structinit_core.graph.names import Names

LEAST_SCORE = 1e-3
"""Of the largest score: below it a labelling particle is no relation."""
_AXON_BYTES = 64
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def axon(subject: str, object_: str) -> str:
    """The name of a link as a particle: SHA-256 of both names in UTF-8, as 64 hex digits.

    The seed's own programs use other hashes (BLAKE3, hemera); whoever labels links for this
    one names them so.
    """
    return sha256(subject.encode() + object_.encode()).hexdigest()


def discover_semcons(graph: Graph) -> Graph:
    """The untyped graph with relations where links are labelled; itself where none is.

    A link whose object is the :func:`axon` of a link labels that link, and its subject is a
    candidate. usage = the sum of its labelling weights, coverage = how many links it labels,
    score = usage · log₂(1 + coverage); candidates of at least :data:`LEAST_SCORE` of the largest
    score become relations, by falling score, then by name. A link has the relation that labels
    it with the largest weight, of equals the first, or ``UNTYPED``, which is last. Labelling
    links stay links. Rows of particles stay; those of relations may change as links are added.
    Cost: one hash a link, some 1.5 µs, where any object looks like an axon. Source: seed 000
    (CT-1 specification).
    """
    named = _axon_of_links(graph)
    labels = np.flatnonzero(np.isin(graph.object, named[named >= 0]))
    if not len(labels):
        return graph
    by = graph.subject[labels]
    usage = np.bincount(by, graph.weight[labels])
    score = usage * np.log2(1 + np.bincount(by))
    candidates = np.flatnonzero(score >= LEAST_SCORE * score.max())
    candidates = candidates[score[candidates] > 0]
    order = sorted(candidates.tolist(), key=lambda row: (-score[row], graph.particles[row]))
    place = np.full(len(graph.particles), len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    labels = labels[place[graph.subject[labels]] < len(order)]
    places, axons = place[graph.subject[labels]], graph.object[labels]
    best = np.lexsort((places, -graph.weight[labels], axons))
    first = best[np.unique(axons[best], return_index=True)[1]]
    relation = np.full(len(graph.particles) + 1, len(order), np.int32)
    relation[axons[first]] = places[first]
    relations = Names.of([*(graph.particles[row] for row in order), UNTYPED])
    return replace(graph, relations=relations, relation=relation[named])


def _axon_of_links(graph: Graph) -> NDArray[np.int32]:
    """The particle that is each link's axon, -1 where there is none: int32 (E,)."""
    text, offsets = graph.particles.text, graph.particles.offsets
    found = np.full(len(graph), -1, np.int32)
    objects = np.unique(graph.object)
    objects = objects[np.diff(offsets)[objects] == _AXON_BYTES]
    letters = text[offsets[objects][:, None] + np.arange(_AXON_BYTES)]
    objects = objects[np.isin(letters, _HEX).all(axis=1)]
    if not len(objects):
        return found
    rows = {graph.particles[row]: row for row in objects.tolist()}
    raw, starts = text.tobytes(), offsets.tolist()
    for link, (p, q) in enumerate(zip(graph.subject.tolist(), graph.object.tolist(), strict=True)):
        name = sha256(raw[starts[p] : starts[p + 1]] + raw[starts[q] : starts[q + 1]]).hexdigest()
        found[link] = rows.get(name, -1)
    return found
