from __future__ import annotations

import numpy as np

from structinit_core.graph.components import components
from structinit_core.graph.diameter import diameter

from .graphs import bostrom, graph_of, permuted, random_graph, real, triples


def _distances(both: np.ndarray) -> np.ndarray:
    """Hops between all pairs by powers of the adjacency, infinite where there is no path."""
    size = len(both)
    hops = np.where(np.eye(size, dtype=bool), 0.0, np.inf)
    reached, step = np.eye(size, dtype=bool), np.eye(size, dtype=np.int64)
    for length in range(1, size):
        step = ((step @ (both > 0)) > 0).astype(np.int64)
        hops[(step > 0) & ~reached] = length
        reached |= step > 0
    return hops


def test_the_largest_component_and_its_diameter() -> None:
    for links in (40, 60, 90, 400):
        graph = random_graph(60, links)
        hops = _distances((graph.adjacency() + graph.adjacency().T).toarray())
        linked = np.union1d(graph.subject, graph.object)
        groups = {tuple(np.flatnonzero(np.isfinite(row))) for row in hops[linked]}
        parts = components(graph)
        assert parts.count == len(groups)
        assert tuple(parts.rows) in groups
        assert len(parts.rows) == max(map(len, groups))
        inside = hops[np.ix_(parts.rows, parts.rows)]
        found = diameter(parts.both)
        assert found.exact
        assert found.lower == inside.max()


def test_both_directions_are_added_and_other_components_left_out() -> None:
    parts = components(graph_of([(4, 5), (0, 1), (1, 0), (1, 2)], 7, weight=[9, 1, 2, 4]))
    assert (parts.count, parts.linked, parts.rows.tolist()) == (2, 5, [0, 1, 2])
    assert parts.both.toarray().tolist() == [[0, 3, 0], [3, 0, 4], [0, 4, 0]]


def test_a_graph_without_links_has_no_component() -> None:
    parts = components(graph_of([], 3))
    assert (parts.count, parts.linked, len(parts.rows)) == (0, 0, 0)
    assert diameter(parts.both).lower == 0


def test_few_searches_give_bounds_that_hold() -> None:
    parts = components(triples(real("wn18rr", "train.tsv.gz")))
    loose, tight = diameter(parts.both, searches=1), diameter(parts.both)
    assert not loose.exact
    assert loose.lower <= tight.lower <= tight.upper <= loose.upper


def test_a_path_and_a_cycle() -> None:
    path = components(graph_of([(i, i + 1) for i in range(9)], 10))
    cycle = components(graph_of([(i, (i + 1) % 10) for i in range(10)], 10))
    assert (diameter(path.both).lower, diameter(cycle.both).lower) == (9, 5)
    assert diameter(cycle.both).exact


def test_other_numbers_of_the_particles_change_nothing() -> None:
    graph = bostrom()
    moved = permuted(graph, np.random.default_rng(2).permutation(1304))
    one, other = components(graph), components(moved)
    assert (one.count, len(one.rows)) == (other.count, len(other.rows))
    assert diameter(one.both).lower == diameter(other.both).lower
