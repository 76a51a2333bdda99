"""More rows never change the rows of earlier names, and reading is bounded in memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from structinit_core.errors import LimitError
from structinit_core.graph import Graph, LinkSource, read_graph

FIXTURES = Path(__file__).parents[2] / "fixtures" / "graphs"
COLUMNS = ("subject", "relation", "object", "neuron", "height")


def rows(count: int) -> list[str]:
    draw = random.Random(3)
    return [
        f"n{draw.randrange(20)},p{draw.randrange(900)},p{draw.randrange(900)},r{draw.randrange(9)},1\n"
        for _ in range(count)
    ]


def graph_of(put, lines: list[str]) -> Graph:
    return read_graph(LinkSource([put("a.csv", "neuron,from,to,type,amount\n" + "".join(lines))]))[
        0
    ]


def test_rows_that_are_added_change_no_row_before(put) -> None:
    lines = rows(6000)
    whole = graph_of(put, lines)
    for count in (1, 500, 5999):
        part = graph_of(put, lines[:count])
        for name in ("particles", "relations", "neurons"):
            found = list(getattr(part, name))
            assert list(getattr(whole, name))[: len(found)] == found
        for column in COLUMNS:
            found = getattr(part, column).tolist()
            assert getattr(whole, column)[: len(part)].tolist() == found
    assert whole.weight.sum() == len(lines)


def test_names_come_in_the_order_of_the_text(put) -> None:
    lines = rows(3000)
    order: dict[str, None] = {}
    links: dict[tuple[str, str, str], None] = {}
    for line in lines:
        _, subject, object_, relation, _ = line.split(",")
        order |= {subject: None, object_: None}
        links[subject, relation, object_] = None
    graph = graph_of(put, lines)
    assert list(graph.particles) == list(order)
    found = zip(graph.subject, graph.relation, graph.object, strict=True)
    assert [
        (graph.particles[s], graph.relations[r], graph.particles[o]) for s, r, o in found
    ] == list(links)


def test_tables_stay_within_their_memory(put) -> None:
    path = put("a.csv", "from,to\n" + "".join(f"p{i},q{i}\n" for i in range(60_000)))
    with pytest.raises(LimitError, match="outgrow") as caught:
        read_graph(LinkSource([path], memory_bytes=1 << 20))
    assert caught.value.hint == "allow more with --memory"
    assert len(read_graph(LinkSource([path], memory_bytes=1 << 24))[0]) == 60_000


def test_the_cyberlinks_of_the_chain() -> None:
    graph, facts = read_graph(LinkSource([FIXTURES / "bostrom-cyberlinks.csv"]))
    assert (facts.rows, len(graph), len(graph.particles)) == (1281, 1275, 1304)
    assert (len(graph.neurons), list(graph.relations)) == (14, [""])
    assert (graph.height.min(), graph.height.max()) == (9029, 12_847_309)


def test_triples_of_a_benchmark() -> None:
    parts = [FIXTURES / "umls" / f"{name}.tsv" for name in ("train", "valid", "test")]
    graph, facts = read_graph(LinkSource(parts))
    assert (facts.rows, len(graph.particles), len(graph.relations)) == (6529, 135, 46)
    train, _ = read_graph(LinkSource(parts[:1]))
    assert list(graph.particles)[: len(train.particles)] == list(train.particles)
