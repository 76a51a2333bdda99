from __future__ import annotations

import numpy as np

from structinit_core.graph import NO_NEURON, Graph, Names


def _graph() -> Graph:
    subject, relation, object_ = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 2]], np.int32).T
    return Graph(
        Names.of("abc"),
        Names.of(["knows", "likes"]),
        Names.of([]),
        subject,
        relation,
        object_,
        weight=np.array([1.0, 2.0, 4.0]),
        neuron=np.full(3, NO_NEURON, np.int32),
        height=np.zeros(3, np.int64),
        labels=Names.of(["Ada", "", "Cleo"]),
    )


def test_adjacency_of_one_relation_and_of_all() -> None:
    graph = _graph()
    assert graph.adjacency(0).toarray().tolist() == [[0, 1, 4], [0, 0, 0], [0, 0, 0]]
    assert graph.adjacency().toarray()[0].tolist() == [2, 1, 4]


def test_a_particle_without_a_label_shows_its_name() -> None:
    assert [_graph().label(row) for row in range(3)] == ["Ada", "b", "Cleo"]


def test_a_part_of_the_links_keeps_every_particle() -> None:
    part = _graph().only(np.array([True, False, True]))
    assert (len(part), len(part.particles)) == (2, 3)
    assert part.weight.tolist() == [1, 4]
