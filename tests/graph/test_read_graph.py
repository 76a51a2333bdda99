"""Rows, names and weights of link lists, as the files say them."""

from __future__ import annotations

from math import log1p

import pytest

from structinit_core.errors import InputError
from structinit_core.graph import NO_NEURON, Graph, KeyedFile, LinkSource, read_graph


def links(graph: Graph) -> list[tuple[str, str, str, float]]:
    return [
        (graph.particles[s], graph.relations[r], graph.particles[o], float(w))
        for s, r, o, w in zip(
            graph.subject, graph.relation, graph.object, graph.weight, strict=True
        )
    ]


def test_triples_without_a_header(put) -> None:
    graph, facts = read_graph(LinkSource([put("a.tsv", "a\tr\tb\nb\tq\ta\na\tr\tb\n")]))
    assert links(graph) == [("a", "r", "b", 2), ("b", "q", "a", 1)]
    assert (facts.rows, facts.bad, facts.duplicates) == (3, 0, 1)


def test_a_relation_named_like_a_column_makes_no_header(put) -> None:
    graph, _ = read_graph(LinkSource([put("a.tsv", "a\ttype\tb\n")]))
    assert links(graph) == [("a", "type", "b", 1)]


def test_columns_by_their_names(put) -> None:
    path = put(
        "a.csv",
        "Neuron,Particle_From,particle_to,weight,valence,height,type\n"
        "n,a,b,2.5,1,7,r\nm,b,c,1,-1,8,r\n,a,b,1,,9,r\nm,c,a,3,0,1,r\n",
    )
    graph, facts = read_graph(LinkSource([path]))
    assert links(graph) == [("a", "r", "b", 3.5)]
    assert (list(graph.particles), list(graph.neurons)) == (["a", "b"], ["n"])
    assert (graph.neuron.tolist(), graph.height.tolist(), facts.clipped) == ([0], [7], 2)


def test_the_weight_by_stake(put) -> None:
    path = put("a.csv", "neuron,from,to\nn,a,b\nm,a,b\nk,a,b\n,a,c\n")
    stakes = KeyedFile(put("stakes.csv", "neuron,stake\nn,9\nk,0\nz,1\n"))
    graph, facts = read_graph(LinkSource([path], stakes=stakes))
    assert graph.weight == pytest.approx([log1p(9) + 2, 1])
    assert (facts.unknown_neurons, graph.neuron.tolist()) == (2, [0, NO_NEURON])


def test_too_many_bad_rows_are_refused_with_the_first_reason(put) -> None:
    path = put("a.tsv", "a\tr\tb\na\tr\n\tr\tb\n")
    with pytest.raises(InputError, match="2 fields, not 3: the first of 2 bad among 3") as caught:
        read_graph(LinkSource([path]))
    assert caught.value.where == f"{path}:2"
    graph, facts = read_graph(LinkSource([path], max_bad=2))
    assert (len(graph), facts.bad) == (1, 2)
