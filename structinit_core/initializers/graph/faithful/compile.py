"""The published compiler: from a graph to the tensors of one of its four versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.errors import LimitError
from structinit_core.graph import Focus, Graph
from structinit_core.initializers.graph.faithful.embedding import (
    Spectrum,
    columns,
    focus_of,
    spectrum,
)
from structinit_core.initializers.graph.faithful.feed_forward import FeedForward, feed_forwards
from structinit_core.initializers.graph.faithful.heads import Attention, attention
from structinit_core.initializers.graph.faithful.sizes import (
    Reach,
    Sizes,
    reach,
    relations_with_heads,
    sizes,
)
from structinit_core.initializers.graph.faithful.versions import Version
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.initializers.stream import Compiled, compiled_stream
from structinit_core.progress import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Published:
    """What a version computes of a graph before its layers.

    graph: in V4 with weights over the largest entry of A. rows: E (P, d) float32.
    """

    version: Version
    graph: Graph
    reach: Reach
    focus: Focus
    spectrum: Spectrum
    sizes: Sizes
    rows: NDArray[np.float32]
    seed: int

    @property
    def powers(self) -> list[int]:
        """Hops that each layer sees: 1 + ⌊l·diameter/L⌋; 1 where powers are not published."""
        layers, hops = self.sizes.layers, self.reach.hops
        return [1 + (at * hops // layers if self.version.powers else 0) for at in range(layers)]

    def links_of_heads(self) -> list[sp.csr_array]:
        """A_s of each head's relation, the heaviest first."""
        chosen = relations_with_heads(self.version, self.graph)[: self.sizes.heads]
        return [self.graph.adjacency(int(relation)) for relation in chosen]

    def attention(self, power: int) -> Attention:
        """The attention of the layers that see ``power`` hops."""
        rows, focus = self.rows.astype(np.float64), self.focus.values
        links, heads = self.links_of_heads(), self.sizes.heads
        return attention(self.version, links, rows, focus, power, heads, self.seed)


def publish(
    version: Version,
    graph: Graph,
    memory_bytes: int,
    *,
    width: int | None = None,
    heads: int | None = None,
    layers: int | None = None,
    seed: int = 0,
    progress: Progress,
) -> Published:
    """The focus, spectrum, sizes and rows of ``graph`` by ``version``.

    ``width``, ``heads``, ``layers``: in place of d*, h*, L*. Deterministic up to the BLAS.
    Source: seed 000 and its four versions, see the seeds' origins 1.

    Raises:
        LimitError: the singular vectors do not fit ``memory_bytes``.
        UsageError: the heads cannot share the width.
    """
    _check_vectors(version, graph, width, memory_bytes)
    if version.name == "v4":
        largest = float(graph.adjacency().data.max(initial=0.0)) or 1.0
        graph = replace(graph, weight=graph.weight / largest)
    progress.stage("spectral gap")
    far = reach(graph)
    progress.stage("focus")
    focus = focus_of(version, graph, far)
    progress.stage("singular vectors")
    found = spectrum(version, graph, focus.values, width, seed)
    chosen = sizes(version, graph, found.ranked, far, width=width, heads=heads, layers=layers)
    rows = found.embedding(chosen.width, rooted=version.rooted)
    return Published(version, graph, far, focus, found, chosen, rows, seed)


def published_tensors(
    parts: Published, blueprint: Blueprint, progress: Progress
) -> Iterator[tuple[TensorSpec, Tensor]]:
    """Every stored tensor in blueprint order; memory one layer and the rows.

    Raises:
        NumericalError: one holds NaN or infinity.
    """
    seen = iter(_layers(parts))
    rows = _token_rows(parts)
    for layer, specs in groupby(blueprint.tensors, key=lambda spec: spec.layer):
        compiled: Compiled
        if layer is None:
            compiled = {(role, Kind.WEIGHT, None): rows for role in (Role.EMBED, Role.HEAD)}
            position = torch.zeros(blueprint.context, blueprint.width)
            compiled[Role.POSITION, Kind.WEIGHT, None] = position
        else:
            compiled = _compiled(layer, *next(seen), blueprint)
        some = replace(blueprint, tensors=tuple(specs))
        yield from compiled_stream(some, compiled, parts.seed)
        progress.advance()


def _layers(parts: Published) -> Iterator[tuple[Attention, FeedForward]]:
    rows, focus = parts.rows.astype(np.float64), parts.focus.values
    links = parts.graph.adjacency()
    each = feed_forwards(parts.version, links, rows, focus, parts.powers, parts.seed)
    held, last = None, 0
    for power, units in zip(parts.powers, each, strict=True):
        if held is None or power != last:
            held, last = parts.attention(power), power
        yield held, units


def _compiled(layer: int, heads: Attention, units: FeedForward, blueprint: Blueprint) -> Compiled:
    """The logical parts of one layer, output × input."""
    maps = {
        Role.ATTN_Q: heads.query,
        Role.ATTN_K: heads.key,
        Role.ATTN_V: heads.value,
        Role.ATTN_OUT: heads.output,
        Role.MLP_DOWN: units.second,
    }
    if blueprint.gated:
        other = np.zeros_like(units.first) if units.gate is None else units.gate
        maps |= {Role.MLP_GATE: units.first, Role.MLP_UP: other}
    else:
        maps[Role.MLP_UP] = units.first
    parts: Compiled = {
        (role, Kind.WEIGHT, layer): torch.from_numpy(matrix.T.astype(np.float32))
        for role, matrix in maps.items()
    }
    if blueprint.gated and units.gate is None:
        parts[Role.MLP_UP, Kind.BIAS, layer] = torch.ones(blueprint.feed_forward)
    return parts


def _token_rows(parts: Published) -> Tensor:
    """E as rows of all tokens, those that are no particle zero."""
    tokens = GraphTokens(len(parts.graph.relations), len(parts.graph.particles))
    rows = torch.zeros(tokens.vocabulary, parts.rows.shape[1])
    rows[tokens.first_particle :] = torch.from_numpy(parts.rows)
    return rows


def _check_vectors(version: Version, graph: Graph, width: int | None, memory_bytes: int) -> None:
    """Bases of both sides in float32, over the particles that have links there."""
    sources, targets = len(np.unique(graph.subject)), len(np.unique(graph.object))
    rank = min(max(version.singular_values, width or 0), min(sources, targets))
    needed = 4 * (sources + targets + len(graph.particles)) * columns(rank)
    if needed > memory_bytes:
        raise LimitError(
            f"{rank} singular vectors of {len(graph.particles):,} particles need about "
            f"{needed >> 20} MiB, allowed are {memory_bytes >> 20}",
            hint="raise --memory, or take --faithful v1, which needs 100",
        )
