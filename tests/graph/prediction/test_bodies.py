"""Bodies counted by kernels against walks taken one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from structinit_core.graph.prediction.bodies import Bodies, body_of, depth_of, find_bodies
from structinit_core.graph.prediction.directed import directed
from structinit_core.graph.prediction.walks import count_bodies


def ends(links, body, query) -> set[int]:
    """What a body reaches from the query's subject without its link."""
    subject, asked, answer = query
    gone = {(subject, asked, answer), (answer, links.inverse(asked), subject)}
    reached = {subject}
    for relation in body:
        reached = {
            int(other)
            for particle in reached
            for other in links.objects(particle, relation)
            if (particle, relation, int(other)) not in gone and other != subject
        }
    return reached


@pytest.mark.parametrize("relation", [1, 4])
def test_counts_are_those_of_all_walks(random_graph, relation: int) -> None:
    links = directed(random_graph)
    every = links.links()
    queries = every[every[:, 1] == relation][:7]
    counts = count_bodies(links.table, 6, links.inverse(relation), queries, 3, 20)
    expected = {}
    for body in (b for n in (1, 2, 3) for b in product(range(6), repeat=n)):
        reached = right = 0
        for query in queries.tolist():
            others = set(links.objects(query[0], relation).tolist()) - {query[2]}
            found = ends(links, body, query) - others
            reached, right = reached + len(found), right + (query[2] in found)
        expected[body] = [reached, right]
    assert {body_of(number, 6): row for number, row in enumerate(counts.tolist())} == expected


def test_a_body_that_reaches_too_much_says_nothing(make_graph) -> None:
    star = [(0, 0, other) for other in range(1, 9)] + [(other, 1, 9) for other in range(1, 9)]
    links = directed(make_graph([*star, (0, 2, 9)], 10, 3))
    query = np.array([[0, 2, 9]], np.int32)
    counted = [count_bodies(links.table, 6, 5, query, 2, most) for most in (8, 7)]
    assert [counts[body].tolist() for counts in counted for body in (0, 6 + 1)] == [
        [8, 0], [1, 1], [0, 0], [0, 0]
    ]  # fmt: skip


def test_the_rule_of_families_is_the_best_body(families) -> None:
    links = directed(families[0])
    every = links.links()
    queries = every[every[:, 1] == 2]
    found = find_bodies(links, queries, depth=3, most=100, count=6)
    assert {(0, 0), (0, 4), (4, 0), (4, 4)} == set(found.bodies[:4])
    assert len(found.bodies) == 6
    assert (found.confidence > 0).all()


def test_the_tree_holds_each_body_once_and_skips_what_is_below() -> None:
    bodies = [(1, 2), (3,), (1, 2, 0), (1, 4)]
    relation, level, ends_here, behind = Bodies.of(bodies, np.ones(4)).tree
    assert relation.tolist() == [1, 2, 0, 4, 3]
    assert level.tolist() == [1, 2, 3, 2, 1]
    assert ends_here.tolist() == [-1, 0, 2, 3, 1]
    assert behind.tolist() == [4, 3, 3, 4, 5]


def test_dense_graphs_are_searched_less_deep(make_graph, families) -> None:
    assert depth_of(directed(families[0])) == 3
    dense = [(s, r, o) for s in range(16) for o in range(16) for r in range(5)]
    assert depth_of(directed(make_graph(dense, 16, 5))) == 2
    assert depth_of(directed(make_graph([], 4, 1))) == 3
