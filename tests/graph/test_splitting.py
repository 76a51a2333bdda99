"""Held-out links: the same whatever else is in the graph."""

from __future__ import annotations

import pytest

from structinit_core.errors import UsageError
from structinit_core.graph import Graph, LinkSource, numbered_like, read_graph, split_links

ROWS = [f"s{i % 37}\tr{i % 5}\to{i % 101}\n" for i in range(2000)]


def links(graph: Graph) -> set[tuple[str, str, str]]:
    return {
        (graph.particles[s], graph.relations[r], graph.particles[o])
        for s, r, o in zip(graph.subject, graph.relation, graph.object, strict=True)
    }


def test_a_grown_graph_holds_out_the_same_of_its_earlier_links(put) -> None:
    whole, _ = read_graph(LinkSource([put("a.tsv", "".join(ROWS))]))
    part, _ = read_graph(LinkSource([put("b.tsv", "".join(ROWS[700:100:-1]))]))
    kept, held = split_links(whole, 0.2, 7)
    assert links(split_links(part, 0.2, 7)[1]) == links(held) & links(part)
    assert links(kept) | links(held) == links(whole)
    assert not links(kept) & links(held)
    assert 0.15 < len(held) / len(whole) < 0.25


def test_the_seed_and_the_share_decide(put) -> None:
    graph, _ = read_graph(LinkSource([put("a.tsv", "".join(ROWS))]))
    few, many = (split_links(graph, share, 1)[1] for share in (0.1, 0.4))
    assert links(few) < links(many)
    assert links(few) != links(split_links(graph, 0.1, 2)[1])
    assert len(split_links(graph, 0, 1)[1]) == 0
    assert len(split_links(graph, 1, 1)[0]) == 0
    with pytest.raises(UsageError):
        split_links(graph, 1.5)


def test_subject_and_object_are_not_exchangeable(put) -> None:
    text = "".join(f"a{i}\tr\tb{i}\nb{i}\tr\ta{i}\n" for i in range(300))
    graph, _ = read_graph(LinkSource([put("a.tsv", text)]))
    _, held = split_links(graph, 0.5)
    assert any((o, r, s) not in links(held) for s, r, o in links(held))


def test_a_given_file_by_the_rows_of_a_graph(put) -> None:
    graph, _ = read_graph(LinkSource([put("a.csv", "neuron,from,to,type\nn,a,b,r\nm,b,c,q\n")]))
    text = "neuron,from,to,type\nx,c,b,r\nn,b,a,q\nn,z,a,q\nn,a,z,k\nn,a,b,k\n"
    held, left = numbered_like(read_graph(LinkSource([put("h.csv", text)]))[0], graph)
    assert held.particles is graph.particles
    assert links(held) == {("c", "r", "b"), ("b", "q", "a")}
    assert held.neuron.tolist() == [-1, 0]
    assert (left.links, left.unknown_particle, left.unknown_relation) == (3, 2, 2)
