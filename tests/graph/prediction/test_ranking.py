"""Filtered ranks against their definition, particle by particle."""

from __future__ import annotations

import numpy as np
import pytest

from structinit_core.graph.prediction import Ranking, both_ways, directed, filtered_ranks
from structinit_core.linalg import generator


@pytest.fixture
def queries(random_graph):
    return both_ways(random_graph.subject, random_graph.relation, random_graph.object, 3)[::5]


def test_the_definition(random_graph, queries) -> None:
    table = generator(0, "scores").integers(0, 6, (20, 6, 20)).astype(np.float32)
    known = directed(random_graph)
    expected = []
    for subject, relation, object_ in queries.tolist():
        own, scores = table[subject, relation, object_], table[subject, relation]
        others = set(range(20)) - set(known.objects(subject, relation).tolist())
        above = sum(scores[other] > own for other in others)
        expected.append(1 + above + sum(scores[other] == own for other in others) / 2)
    for memory in (1, 1 << 20):
        ranks = filtered_ranks(lambda s, r: table[s, r], queries, known, memory=memory)
        assert ranks.tolist() == expected
    assert {rank % 1 for rank in expected} == {0, 0.5}


def test_what_is_no_number_is_no_good_answer(random_graph, queries) -> None:
    nothing = np.full((20, 6, 20), np.nan)
    known = directed(random_graph)
    ranks = filtered_ranks(lambda s, r: nothing[s, r], queries, known)
    others = [20 - len(known.objects(subject, relation)) for subject, relation, _ in queries]
    assert ranks.tolist() == [1 + other for other in others]


def test_scores_are_left_as_they_are(random_graph, queries) -> None:
    table = np.zeros((len(queries), 20))
    filtered_ranks(lambda s, r: table, queries, directed(random_graph))
    assert not table.any()


def test_summary() -> None:
    ranking = Ranking.of(np.array([1.0, 2.0, 4.0, 20.0]))
    assert ranking == Ranking(4, (1 + 1 / 2 + 1 / 4 + 1 / 20) / 4, 0.25, 0.5, 0.75)
