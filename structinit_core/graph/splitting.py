"""Links held out of a graph: drawn from it, or given beside it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import UsageError
from structinit_core.graph.graph import NO_NEURON, Graph
from structinit_core.graph.names import Names


def split_links(graph: Graph, share: float, seed: int = 0) -> tuple[Graph, Graph]:
    """The graph without a share of its links, and with these alone; the same particles in both.

    Whether a link is held out depends on ``seed`` and its own three names: a graph that has
    grown holds out the same ones of its earlier links. About a microsecond a name. Source: ours.

    Raises:
        UsageError: a share outside 0 … 1.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"{share} is no share of the links", hint="such as 0.05")
    ends, kinds = _marks(graph.particles, seed), _marks(graph.relations, seed)
    mark = _mixed(ends[graph.subject] + np.uint64(1))
    mark = _mixed(mark ^ kinds[graph.relation])
    mark = _mixed(mark ^ ends[graph.object])
    held = (mark >> np.uint64(11)) * 2.0**-53 < share
    return graph.only(~held), graph.only(held)


def _marks(names: Names, seed: int) -> NDArray[np.uint64]:
    """64 bits of each name and the seed."""
    salt = str(seed).encode()
    raw, places = names.text.tobytes(), names.offsets.tolist()
    digests = (
        blake2b(salt + b"\0" + raw[low:high], digest_size=8).digest()
        for low, high in pairwise(places)
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _mixed(mark: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64."""
    mark = (mark ^ (mark >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mark = (mark ^ (mark >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mark ^ (mark >> np.uint64(31))


@dataclass(frozen=True)
class LeftOut:
    """Links that a graph cannot speak of: in all, and by unknown particle or unknown relation."""

    links: int
    unknown_particle: int
    unknown_relation: int


def numbered_like(links: Graph, graph: Graph) -> tuple[Graph, LeftOut]:
    """``links``, such as a held-out file, by the rows of ``graph``, and what was left out.

    Links of a particle or relation that ``graph`` does not have are left out and counted; one
    may count as both. Neurons it does not have become ``NO_NEURON``. Cost: O(names + links).
    """
    particle, relation, neuron = (
        theirs.rows_of(ours.text, ours.offsets)
        for ours, theirs in (
            (links.particles, graph.particles),
            (links.relations, graph.relations),
            (links.neurons, graph.neurons),
        )
    )
    subject, object_ = particle[links.subject], particle[links.object]
    kind = relation[links.relation]
    strange = (subject < 0) | (object_ < 0)
    known = ~strange & (kind >= 0)
    numbered = Graph(
        graph.particles,
        graph.relations,
        graph.neurons,
        subject=subject[known],
        relation=kind[known],
        object=object_[known],
        weight=links.weight[known],
        neuron=np.append(neuron, np.int32(NO_NEURON))[links.neuron[known]],
        height=links.height[known],
        labels=graph.labels,
    )
    left = LeftOut(
        links=int((~known).sum()),
        unknown_particle=int(strange.sum()),
        unknown_relation=int((kind < 0).sum()),
    )
    return numbered, left
