"""A graph compiled: codes, relation maps in heads and units, answers stored under keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.graph import Graph
from structinit_core.initializers.closed_form.parts import Units, as_float
from structinit_core.initializers.graph.codes import factorised
from structinit_core.initializers.graph.heads import (
    Sight,
    copy_heads,
    relation_heads,
    relation_places,
)
from structinit_core.initializers.graph.keys import Keys
from structinit_core.initializers.graph.layout import GraphStream, divide_graph, place_graph
from structinit_core.initializers.graph.maps import longest_mapped, relation_map, spread_of
from structinit_core.initializers.graph.parts import GraphParts, Kept
from structinit_core.initializers.graph.storing import store
from structinit_core.initializers.graph.tables import next_tokens
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.initializers.graph.units import map_units
from structinit_core.linalg import TruncatedSvd
from structinit_core.model import read_wiring
from structinit_core.progress import Progress

Floats = NDArray[np.float64]


def compile_graph(
    graph: Graph,
    keys: Keys,
    focus: NDArray[np.float64],
    blueprint: Blueprint,
    *,
    seed: int,
    device: torch.device,
    progress: Progress,
    start: TruncatedSvd | None = None,
) -> tuple[GraphParts, Kept]:
    """``graph`` compiled for ``blueprint``: codes, a map for each relation, stored answers.

    Beside it what growth needs. ``focus`` (P,) is how often a walk begins at each particle;
    ``start`` is the factorisation of an earlier state of the graph. What stands in rows, heads and
    units is said in layout.py, heads.py and units.py. float32, on the CPU; the regressions of
    :func:`~structinit_core.initializers.graph.memory.fit_answers` run on ``device``. Memory
    O((V + K)·d). Deterministic given ``seed`` on one machine class with fixed threads. Source:
    ours, in place of the formulas of seed 000.

    Raises:
        IncompatibleError: too narrow a model, or more keys than its feed-forward has units.
        NumericalError: no key is known by its own unit.
    """
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    factor, stream, directed, maps = coded_stream(graph, focus, blueprint, seed, progress, start)
    parts, sight = with_maps(stream, head_rows(stream), directed, maps, tokens, blueprint)
    longest = float(stream.codes.right[tokens.first_particle :].norm(dim=1).max())
    progress.stage("answers")
    parts, answered = store(keys, parts, sight, tokens, seed, device)
    maps_kept = np.stack(maps)
    return parts, Kept(factor.values, stream.scale, longest, tuple(directed), maps_kept, answered)


def coded_stream(
    graph: Graph,
    focus: NDArray[np.float64],
    blueprint: Blueprint,
    seed: int,
    progress: Progress,
    start: TruncatedSvd | None = None,
) -> tuple[TruncatedSvd, GraphStream, list[int], list[Floats]]:
    """The factorisation, rows with their codes, and directed relations with a map for each."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    progress.stage("codes")
    table = next_tokens(graph, tokens, focus)
    codes, factor = factorised(table, divide_graph(blueprint).predict, seed, start)
    del table
    directed = by_weight(graph)
    progress.stage("relation maps", len(directed))
    maps, added = [], 0.0
    spread = spread_of(codes, tokens)
    for relation in directed:
        maps.append(relation_map(graph, relation, codes, tokens, spread, seed))
        added = max(added, longest_mapped(codes, tokens, maps[-1]))
        progress.advance(1)
    return factor, place_graph(codes, tokens, blueprint, seed, added), directed, maps


def with_maps(
    stream: GraphStream,
    head: Tensor,
    directed: Sequence[int],
    maps: Sequence[Floats],
    tokens: GraphTokens,
    blueprint: Blueprint,
) -> tuple[GraphParts, Sight]:
    """Rows, the heads that copy, and the relations' maps in heads and, beyond those, in units."""
    sight = Sight(stream, blueprint, read_wiring(blueprint))
    places = len(relation_places(blueprint))
    heads = copy_heads(sight) + relation_heads(directed[:places], maps[:places], tokens, sight)
    units: tuple[Units, ...] = ()
    if directed[places:]:
        units += (map_units(0, directed[places:], maps[places:], tokens, stream, blueprint),)
    return GraphParts(stream.embed, stream.position, head, heads, units), sight


def head_rows(stream: GraphStream, prior: NDArray[np.float64] | None = None) -> Tensor:
    """What reads the prediction code and the log-prior, its own or ``prior``'s: float32 (V, d)."""
    codes, at = stream.codes, stream.at
    read = at.predict[:, : codes.right.shape[1]].T / (stream.scale * stream.later)
    constant = at.constant[:, 0] / (stream.level * stream.later)
    rows = codes.right @ as_float(read)
    bias = codes.bias if prior is None else as_float(np.log(prior))
    return rows.addr_(bias, as_float(constant))


def by_weight(graph: Graph) -> list[int]:
    """Directed relations, those of most weight first."""
    weight = np.bincount(graph.relation, graph.weight, len(graph.relations))
    order = np.argsort(-weight, kind="stable")
    return [int(r) + side * len(order) for r in order for side in (0, 1)]
