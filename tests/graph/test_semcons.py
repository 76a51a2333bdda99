"""Relations found in labelling links."""

from __future__ import annotations

from hashlib import sha256
from math import log2

import numpy as np
import pytest

from structinit_core.graph import UNTYPED, LinkSource, axon, read_graph


def test_an_axon_is_the_hash_of_both_names() -> None:
    assert axon("a", "bc") == sha256(b"abc").hexdigest()


def relations(put, rows: list[tuple[str, str, float]]) -> tuple[list[str], dict[str, str]]:
    text = "from,to,amount\n" + "".join(f"{p},{q},{w}\n" for p, q, w in rows)
    graph, facts = read_graph(LinkSource([put("a.csv", text)]))
    assert facts.semcons == len(graph.relations) - 1
    return list(graph.relations), {
        graph.particles[p] + graph.particles[q]: graph.relations[r]
        for p, r, q in zip(graph.subject, graph.relation, graph.object, strict=True)
    }


def test_the_heaviest_label_is_the_relation(put) -> None:
    rows = [
        *(("a", "b", 1), ("b", "c", 1), ("c", "a", 1)),
        *(("likes", axon("a", "b"), 2), ("owns", axon("a", "b"), 3), ("owns", axon("b", "c"), 1)),
    ]
    names, found = relations(put, rows)
    assert 4 * log2(3) > 2 * log2(2)
    assert names == ["owns", "likes", UNTYPED]
    assert (found["ab"], found["bc"], found["ca"]) == ("owns", "owns", UNTYPED)


def test_equal_labels_go_to_the_first_and_weak_ones_are_no_relations(put) -> None:
    rows = [
        ("a", "b", 1.0),
        *((name, axon("a", "b"), 1.0) for name in ("z", "y")),
        ("weak", axon("a", "b"), 0.0009),
    ]
    names, found = relations(put, rows)
    assert names == ["y", "z", UNTYPED]
    assert found["ab"] == "y"


def test_a_label_can_be_labelled(put) -> None:
    label = axon("a", "b")
    rows = [("a", "b", 1.0), ("r", label, 1.0), ("meta", axon("r", label), 1.0)]
    _, found = relations(put, rows)
    assert found["r" + label] == "meta"


def test_typed_links_are_not_searched(put) -> None:
    path = put("a.csv", f"from,to,type\na,b,\nr,{axon('a', 'b')},\nx,y,q\n")
    graph, _ = read_graph(LinkSource([path]))
    assert list(graph.relations) == ["", "q"]


def test_every_link_is_looked_at_once(put) -> None:
    random = np.random.default_rng(0)
    pairs = [(f"p{a}", f"q{b}") for a, b in random.integers(0, 60, (400, 2))]
    rows = [(p, q, 1.0) for p, q in pairs]
    truth = {p + q: f"r{(int(p[1:]) + int(q[1:])) % 3}" for p, q in pairs}
    rows += [(truth[p + q], axon(p, q), 1.0) for p, q in pairs]
    _, found = relations(put, rows)
    assert {pair: found[pair] for pair in truth} == truth


def test_names_that_only_look_like_axons_change_nothing(put) -> None:
    graph, _ = read_graph(LinkSource([put("a.csv", f"from,to\na,b\nr,{'0' * 64}\n")]))
    assert list(graph.relations) == [UNTYPED]
    assert graph.relation.tolist() == pytest.approx([0, 0])
