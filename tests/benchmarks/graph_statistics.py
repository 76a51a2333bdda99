"""Seconds and memory of a large graph's statistics; its focus beside scipy's power iteration.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python tests/benchmarks/graph_statistics.py

2.7 million links between 3.1 million particles of Zipf popularity (exponent 0.9 for sources,
0.8 for targets) as integer edges. Both sides start from the edges, so the building of matrices
counts, and run one after the other, each on memory touched just before: printed is the median
ratio of processor seconds (peer over ours), with the L1 distance between the two vectors.
Then every statistic in a process of its own, with its peak memory, that of the graph included,
and a warm start of the focus after one link in a hundred was added.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from structinit_core.graph import Graph, Names
from structinit_core.graph.components import components
from structinit_core.graph.diameter import diameter
from structinit_core.graph.focus import Focus, pagerank
from structinit_core.graph.shape import concentration, degrees, neuron_weight
from structinit_core.graph.spectrum import laplacian_norm, singular_values, spectral_gap
from structinit_core.graph.statistics import graph_statistics
from structinit_core.graph.tri_kernel import tri_kernel
from structinit_core.linalg import generator

PARTICLES, LINKS, ROUNDS = 3_100_000, 2_700_000, 5
RELATIONS, NEURONS = 12, 70_000


def zipf(side: str, size: int, exponent: float, draws: int) -> np.ndarray[Any, Any]:
    """``draws`` of ``size`` things whose popularity falls with their rank: int32."""
    drawn = generator(0, side)
    share = np.cumsum(np.arange(1.0, size + 1) ** -exponent)
    ranks = np.searchsorted(share, drawn.random(draws) * share[-1])
    return drawn.permutation(size)[ranks].astype(np.int32)


def synthetic() -> Graph:
    """A graph of the size of the Bostrom chain; names are left empty."""
    rows = np.stack(
        (
            zipf("sources", PARTICLES, 0.9, LINKS),
            zipf("relations", RELATIONS, 1.0, LINKS),
            zipf("targets", PARTICLES, 0.8, LINKS),
        )
    )
    keys = (rows[1].astype(np.int64) * PARTICLES + rows[0]) * PARTICLES + rows[2]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(first)
    neuron = zipf("neurons", NEURONS, 1.2, LINKS)[first[order]]
    return Graph(
        Names(np.zeros(0, np.uint8), np.zeros(PARTICLES + 1, np.int64)),
        Names.of([f"relation {row}" for row in range(RELATIONS)]),
        Names.of([f"neuron {row}" for row in range(NEURONS)]),
        *rows[:, first[order]],
        weight=counts[order].astype(np.float64),
        neuron=neuron,
        height=np.zeros(len(order), np.int64),
    )


def scipy_pagerank(graph: Graph, damping: float = 0.85, tolerance: float = 1e-8) -> Any:
    """Power iteration on the whole transition matrix, as scipy users write it."""
    size = len(graph.particles)
    cells = (graph.subject, graph.object)
    matrix = sp.coo_array((graph.weight, cells), shape=(size, size)).tocsr()
    out = np.asarray(matrix.sum(axis=1))
    dangling = np.flatnonzero(out == 0)
    out[dangling] = 1
    step = (sp.diags_array(1 / out) @ matrix).T.tocsr()
    values = np.full(size, 1 / size)
    while True:
        mass = damping * values[dangling].sum() + 1 - damping
        after = damping * (step @ values) + mass / size
        after /= after.sum()
        if np.abs(after - values).sum() < tolerance:
            return after
        values = after


def timed(side: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds and the result, on memory touched just before."""
    np.ones(1 << 27)
    began = time.process_time()
    result = side()
    return time.process_time() - began, result


def alone(name: str, statistic: Callable[[], Any]) -> None:
    """Print processor seconds, peak memory and result of one statistic in a forked process."""
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"{name} failed")
        return
    began = time.process_time()
    result = statistic()
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:18} {spent:6.2f} s  {peak:5.2f} GiB  {result}", flush=True)
    os._exit(0)


def brief(focus: Focus) -> str:
    """How an iteration went."""
    rate = "" if focus.contraction is None else f", contraction {focus.contraction:.3f}"
    return f"{focus.iterations} steps, residual {focus.residual:.0e}{rate}"


def statistics(graph: Graph) -> None:
    """Every statistic by itself, then all of them."""
    focus, parts = pagerank(graph), components(graph)
    diameter(components(graph.only(np.arange(len(graph)) < 100)).both)  # compiles
    fewer = pagerank(graph.only(np.arange(len(graph)) % 100 > 0)).values

    def rank() -> str:
        found = singular_values(graph, focus.values)
        ranks = f"d* {found.effective_rank:.1f}, squared {found.effective_rank_squared:.2f}"
        return f"{len(found.values)} values, {found.tail:.2%} beyond, {ranks}"

    alone("pagerank", lambda: brief(pagerank(graph)))
    alone("pagerank, warm", lambda: brief(pagerank(graph, start=fewer)))
    alone("tri-kernel", lambda: brief(tri_kernel(graph)))
    alone("components", lambda: f"{len(components(graph).rows):,} in the largest")
    alone("diameter", lambda: diameter(parts.both))
    alone("spectral gap", lambda: spectral_gap(parts.both))
    alone("norm of L", lambda: laplacian_norm(parts.both))
    alone("singular values", rank)
    alone("degrees", lambda: degrees(graph)[0])
    alone("neurons", lambda: concentration(neuron_weight(graph)))
    alone("all", lambda: graph_statistics(graph).suggestion)


def main() -> None:
    graph = synthetic()
    print(f"{len(graph):,} distinct links, {len(graph.particles):,} particles")
    seconds = []
    for _ in range(ROUNDS):
        theirs, peer = timed(lambda: scipy_pagerank(graph))
        mine, focus = timed(lambda: pagerank(graph))
        seconds.append((theirs, mine))
    pairs = np.array(seconds)
    ratios = pairs[:, 0] / pairs[:, 1]
    print("scipy {:.2f} s, ours {:.2f} s".format(*np.median(pairs, axis=0)), end=", ")
    print(f"ratio {np.median(ratios):.2f} (least {ratios.min():.2f}; bar: 1.8)")
    print(f"{focus.iterations} iterations, residual {focus.residual:.1e}", end=", ")
    print(f"L1 distance {np.abs(peer - focus.values).sum():.1e}")
    del peer, focus
    statistics(graph)


if __name__ == "__main__":
    main()
