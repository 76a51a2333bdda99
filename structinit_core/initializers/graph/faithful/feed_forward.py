"""The MLP as published: statistics of paths, factored; in V4 drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.initializers.graph.faithful.heads import projected, signed_svd
from structinit_core.initializers.graph.faithful.versions import Version
from structinit_core.initializers.graph.faithful.walks import close_pairs, walks
from structinit_core.linalg import generator, sparse_operator, truncated_svd

Floats = NDArray[np.float64]

LAYER_SCALE = 1e-5
"""What the MLP of V4 is multiplied with."""
_MOST_WALKS = 10**6
_SHARE = 10
"""One walk for so many particles."""
_OVERFLOW = 1e6


@dataclass(frozen=True, eq=False)
class FeedForward:
    """The maps of one layer for row vectors: first (d, 4d), second (4d, d), float64.

    gate (d, 4d): what the first is multiplied with once activated, 1 if ``None``.
    """

    first: Floats
    second: Floats
    gate: Floats | None = None


def feed_forwards(
    version: Version,
    links: sp.csr_array,
    rows: Floats,
    focus: Floats,
    powers: list[int],
    seed: int,
) -> Iterator[FeedForward]:
    """One for each layer, which sees ``powers`` hops. links: A; rows: E (P, d).

    V1: signed PMI of walks as long as the layer is deep, p by focus; a factorisation of a (P, P)
    table a layer, until all walks have ended. V2: EᵀAˡE. V3: PPMI as published, without the
    counts' sum, of walks of the layer's own. V4: He-uniform.
    """
    layers, size = len(powers), links.shape[0]
    if version.feed_forward == "pmi":
        yield from _of_growing_walks(links, rows, focus, layers, seed)
    elif version.feed_forward == "paths":
        yield from _of_paths(links, rows, layers)
    elif version.feed_forward == "ppmi":
        for layer, steps in enumerate(powers):
            draw = generator(seed, "graph", "faithful", "walks", f"layer {layer}")
            count = min(max(size // _SHARE, 1), _MOST_WALKS)
            pairs = close_pairs(walks(links, count, steps, draw), size)
            table = log_ratio(pairs, focus, total=1.0)
            table.data = np.maximum(table.data, 0.0)
            yield factored(projected(table, rows))
    else:
        for layer in range(layers):
            yield _drawn(rows.shape[1], generator(seed, "graph", "faithful", f"layer {layer}"))


def log_ratio(pairs: sp.csr_array, focus: Floats, total: float) -> sp.csr_array:
    """ln(C_ij / (total·φ_i·φ_j)) where C_ij > 0: CSR float64 (P, P)."""
    table = sp.csr_array(pairs, copy=True)
    own = np.repeat(focus, np.diff(table.indptr)) * focus[table.indices]
    table.data = np.log(table.data / (total * own))
    return table


def factored(matrix: Floats) -> FeedForward:
    """U√Σ and √ΣVᵀ of a (d, d) matrix, all further units zero."""
    left, values, right = signed_svd(matrix)
    root = np.sqrt(values)
    return _padded(left * root, right * root)


def _padded(first: Floats, second: Floats) -> FeedForward:
    width, rank = first.shape
    more = ((0, 0), (0, 4 * width - rank))
    return FeedForward(np.pad(first, more), np.pad(second, more).T)


def _of_growing_walks(
    links: sp.csr_array, rows: Floats, focus: Floats, layers: int, seed: int
) -> Iterator[FeedForward]:
    size, width = rows.shape
    draw = generator(seed, "graph", "faithful", "walks")
    found = walks(links, max(size // _SHARE, 1), layers, draw)
    longest = int((found >= 0).any(axis=0).sum()) - 1
    part = _padded(np.zeros((width, 0)), np.zeros((width, 0)))
    for layer in range(layers):
        if layer < longest:
            pairs = close_pairs(found[:, : layer + 2], size)
            table = log_ratio(pairs, focus, float(pairs.sum()))
            svd = truncated_svd(
                sparse_operator(table),
                min(width, size),
                generator(seed, "graph", "faithful", f"layer {layer}"),
                tolerance=1e-2,
                energy=1e-3,
            )
            root = np.sqrt(svd.values.astype(np.float64))
            part = _padded(rows.T @ svd.left * root, rows.T @ svd.right * root)
        yield part


def _of_paths(links: sp.csr_array, rows: Floats, layers: int) -> Iterator[FeedForward]:
    reached = rows
    for _ in range(layers):
        reached = links @ reached
        norm = float(np.linalg.norm(reached))
        if norm and not 1 / _OVERFLOW <= norm <= _OVERFLOW:
            reached = reached / norm
        yield factored(rows.T @ reached)


def _drawn(width: int, draw: np.random.Generator) -> FeedForward:
    def uniform(rows: int, columns: int) -> Floats:
        bound = (6 / rows) ** 0.5
        return draw.uniform(-bound, bound, (rows, columns))

    gate, first = uniform(width, 4 * width), uniform(width, 4 * width)
    return FeedForward(gate, LAYER_SCALE * uniform(4 * width, width), first)
