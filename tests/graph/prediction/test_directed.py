from __future__ import annotations

import numpy as np

from structinit_core.graph.prediction import both_ways, directed

ROWS = [(0, 0, 1), (2, 1, 1), (0, 0, 2)]


def test_every_link_is_found_from_both_ends(make_graph) -> None:
    links = directed(make_graph(ROWS, 3, 2))
    assert links.objects(0, 0).tolist() == [1, 2]
    assert links.objects(1, links.inverse(0)).tolist() == [0]
    assert links.objects(1, links.inverse(1)).tolist() == [2]
    assert links.objects(1, 0).tolist() == links.objects(0, 3).tolist() == []
    assert [links.inverse(links.inverse(relation)) for relation in range(4)] == [0, 1, 2, 3]


def test_rows_give_back_the_links(make_graph) -> None:
    graph = make_graph(ROWS, 4, 2)
    expected = both_ways(graph.subject, graph.relation, graph.object, 2)
    links = directed(graph)
    assert links.links().tolist() == sorted(expected.tolist())
    assert [links.degrees(relation).tolist() for relation in (0, 2)] == [[2, 0, 0, 0], [0, 1, 1, 0]]


def test_a_link_of_two_graphs_counts_once(make_graph) -> None:
    one, other = make_graph(ROWS, 3, 2), make_graph([*ROWS[:2], (1, 1, 0)], 3, 2)
    assert len(directed(one, other).neighbour) == 8


def test_no_links_at_all(make_graph) -> None:
    links = directed(make_graph([], 2, 1))
    assert (links.particles, links.relations) == (2, 2)
    assert links.links().shape == (0, 3)
    assert np.array_equal(links.degrees(0), [0, 0])
