"""A graph compiled: codes, relation maps in heads and units, answers stored under keys."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.graph import Graph
from structinit_core.initializers.closed_form.parts import (
    Units,
    as_float,
)
from structinit_core.initializers.graph.codes import factorised
from structinit_core.initializers.graph.heads import (
    Sight,
    copy_heads,
    relation_heads,
    relation_places,
)
from structinit_core.initializers.graph.keys import Keys
from structinit_core.initializers.graph.layout import GraphStream, divide_graph, place_graph
from structinit_core.initializers.graph.maps import longest_mapped, relation_map
from structinit_core.initializers.graph.parts import GraphParts, Kept
from structinit_core.initializers.graph.storing import store
from structinit_core.initializers.graph.tables import next_tokens
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.initializers.graph.units import map_units
from structinit_core.linalg import TruncatedSvd
from structinit_core.model import read_wiring
from structinit_core.progress import Progress


def compile_graph(
    graph: Graph,
    keys: Keys | None,
    focus: NDArray[np.float64],
    blueprint: Blueprint,
    *,
    relations: bool = True,
    seed: int,
    device: torch.device,
    progress: Progress,
    start: TruncatedSvd | None = None,
) -> GraphParts:
    """``graph`` compiled for ``blueprint``: codes, a map for each relation, stored answers.

    ``relations`` and ``keys`` are left out for ablations; ``start`` is the factorisation of an
    earlier state of the graph.
    """
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    progress.stage("codes")
    table = next_tokens(graph, tokens, focus)
    codes, factor = factorised(table, divide_graph(blueprint).predict, seed, start)
    directed = by_weight(graph) if relations else []
    progress.stage("relation maps", len(directed))
    maps, added = [], 0.0
    for relation in directed:
        maps.append(relation_map(graph, relation, codes, tokens, seed))
        added = max(added, longest_mapped(graph, relation, codes, tokens, maps[-1]))
        progress.advance(1)
    stream = place_graph(codes, tokens, blueprint, seed, added)
    wiring = read_wiring(blueprint)
    sight = Sight(stream, blueprint, wiring)
    places = len(relation_places(blueprint))
    heads = copy_heads(sight) + relation_heads(directed[:places], maps[:places], tokens, sight)
    units: tuple[Units, ...] = ()
    if directed[places:]:
        units += (map_units(0, directed[places:], maps[places:], tokens, stream, blueprint),)
    kept = Kept(factor.values, stream.scale, tuple(directed))
    parts = GraphParts(stream.embed, stream.position, head_rows(stream), heads, units, kept)
    if keys is None:
        return parts
    progress.stage("answers")
    return store(keys, parts, sight, tokens, seed, device)


def head_rows(stream: GraphStream) -> Tensor:
    """What reads the prediction code and the log-prior: float32 (V, d)."""
    codes, at = stream.codes, stream.at
    read = at.predict[:, : codes.right.shape[1]].T / (stream.scale * stream.later)
    constant = at.constant[:, 0] / (stream.level * stream.later)
    return codes.right @ as_float(read) + torch.outer(codes.bias, as_float(constant))


def by_weight(graph: Graph) -> list[int]:
    """Directed relations, those of most weight first."""
    weight = np.bincount(graph.relation, graph.weight, len(graph.relations))
    order = np.argsort(-weight, kind="stable")
    return [int(r) + side * len(order) for r in order for side in (0, 1)]
