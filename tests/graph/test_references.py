"""Smoothed shares of links against a count by hand, one link at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from structinit_core.graph import (
    Graph,
    Names,
    both_ways,
    link_references,
    walk_references,
)

P, S = 6, 3
LINKS = [(0, 0, 1), (0, 0, 2), (1, 0, 2), (3, 1, 2), (2, 1, 0), (4, 1, 4), (0, 1, 1)]
WEIGHTS = [1.0, 2.0, 1.0, 0.5, 4.0, 1.0, 3.0]


@pytest.fixture
def graph() -> Graph:
    rows = np.array(LINKS, np.int32)
    none = np.full(len(rows), -1, np.int32)
    return Graph(
        Names.of(f"p{row}" for row in range(P)),
        Names.of(f"r{row}" for row in range(S)),
        Names.of([]),
        *rows.T,
        np.array(WEIGHTS),
        none,
        np.zeros(len(rows), np.int64),
    )


def smoothed(counts: Counter, base: list[float]) -> list[float]:
    seen = sum(1 for value in counts.values() if value)
    if not seen:
        return base
    total = sum(counts.values())
    return [(counts[b] + seen * base[b]) / (total + seen) for b in range(P)]


def link_probabilities(subject: int, relation: int, object_: int) -> tuple[float, float]:
    unit = np.mean(WEIGHTS)
    ends, of_relation, of_both = Counter(), Counter(), Counter()
    for (s, r, o), weight in zip(LINKS, WEIGHTS, strict=True):
        for a, directed, b in ((s, r, o), (o, r + S, s)):
            ends[b] += weight / unit
            if directed == relation:
                of_relation[b] += weight / unit
                if a == subject:
                    of_both[b] += weight / unit
    base = [(ends[b] + 1) / (sum(ends.values()) + P) for b in range(P)]
    prior = smoothed(of_relation, base)
    return prior[object_], smoothed(of_both, prior)[object_]


def test_links_are_what_a_count_by_hand_gives(graph: Graph) -> None:
    every = [(s, r, o) for s in range(P) for r in range(2 * S) for o in range(P)]
    found = link_references(graph, np.array(every, np.int32))
    expected = np.array([link_probabilities(*row) for row in every])
    np.testing.assert_allclose(found.prior, expected[:, 0])
    np.testing.assert_allclose(found.exact, expected[:, 1])
    # whatever is asked, the chances of all particles are one
    np.testing.assert_allclose(found.exact.reshape(-1, P).sum(axis=1), 1)
    np.testing.assert_allclose(found.prior.reshape(-1, P).sum(axis=1), 1)


def test_walks_are_what_a_count_by_hand_gives(graph: Graph) -> None:
    every = [(p, q) for p in range(P) for q in range(P)]
    found = walk_references(graph, np.array(every, np.int32))
    unit, ends = np.mean(WEIGHTS), Counter()
    after = {p: Counter() for p in range(P)}
    for (s, _, o), weight in zip(LINKS, WEIGHTS, strict=True):
        ends[o] += weight / unit
        after[s][o] += weight / unit
    prior = smoothed(ends, [1 / P] * P)
    np.testing.assert_allclose(found.prior, [prior[q] for _, q in every])
    np.testing.assert_allclose(found.exact, [smoothed(after[p], prior)[q] for p, q in every])


def test_own_links_are_likelier_with_the_subject_than_without(graph: Graph) -> None:
    rows = np.array(LINKS, np.int32)
    found = link_references(graph, both_ways(*rows.T, relations=S))
    assert np.log(found.exact).mean() > np.log(found.prior).mean()


def test_the_unit_of_weight_does_not_matter(graph: Graph) -> None:
    rows = np.array(LINKS, np.int32)
    columns = (graph.subject, graph.relation, graph.object, 1e6 * graph.weight)
    names = (graph.particles, graph.relations, graph.neurons)
    heavy = Graph(*names, *columns, graph.neuron, graph.height)
    found, other = (link_references(one, rows) for one in (graph, heavy))
    np.testing.assert_allclose(found.exact, other.exact)
