"""Small graphs from arrays, and real ones where they are to be found."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from structinit_core.graph import NO_NEURON, Graph, Names
from structinit_core.linalg import generator

DATA = Path(__file__).parents[3] / "shared" / "data"


def graph_of(
    pairs: Iterable[tuple[int, int]],
    size: int,
    weight: Iterable[float] | None = None,
    neuron: Iterable[int] | None = None,
    relation: Iterable[int] | None = None,
) -> Graph:
    """Links between particles numbered below ``size``."""
    subject, object_ = np.array(list(pairs), np.int32).reshape(-1, 2).T
    count = len(subject)
    neurons = np.full(count, NO_NEURON, np.int32)
    if neuron is not None:
        neurons = np.array(list(neuron), np.int32)
    relations = np.zeros(count, np.int32) if relation is None else np.array(list(relation))
    return Graph(
        Names.of(f"p{row}" for row in range(size)),
        Names.of(f"r{row}" for row in range(int(relations.max(initial=0)) + 1)),
        Names.of(f"n{row}" for row in range(int(neurons.max(initial=-1)) + 1)),
        subject,
        relations.astype(np.int32),
        object_,
        weight=np.ones(count) if weight is None else np.array(list(weight), np.float64),
        neuron=neurons,
        height=np.zeros(count, np.int64),
    )


def random_graph(size: int, links: int, name: str = "graph") -> Graph:
    """Weighted links between the first two thirds of the particles and any: some dangle."""
    drawn = generator(0, name)
    keys = drawn.choice(2 * size // 3 * size, links, replace=False)
    return graph_of(
        zip(keys // size, keys % size, strict=True),
        size,
        weight=drawn.uniform(0.5, 2, links),
        neuron=drawn.integers(0, 7, links),
        relation=drawn.integers(0, 3, links),
    )


def permuted(graph: Graph, order: np.ndarray) -> Graph:
    """The same links where particle ``p`` is called ``order[p]``."""
    subject, object_ = order[graph.subject], order[graph.object]
    named = graph_of(zip(subject, object_, strict=True), len(graph.particles), graph.weight)
    return Graph(
        named.particles,
        graph.relations,
        graph.neurons,
        named.subject,
        graph.relation,
        named.object,
        graph.weight,
        graph.neuron,
        graph.height,
    )


def real(*parts: str) -> Path:
    """A file of the shared data; the test is skipped where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{'/'.join(parts)} is not there")
    return path


def triples(path: Path) -> Graph:
    """A tab-separated file of subject, relation, object."""
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    rows = [line.split("\t") for line in text.decode().splitlines()]
    numbers: dict[str, int] = {}
    relations: dict[str, int] = {}
    links = dict.fromkeys(tuple(row) for row in rows)
    cells = [
        (numbers.setdefault(a, len(numbers)), numbers.setdefault(b, len(numbers)))
        for a, _, b in links
    ]
    kinds = [relations.setdefault(r, len(relations)) for _, r, _ in links]
    return graph_of(cells, len(numbers), relation=kinds)


def bostrom() -> Graph:
    """1,281 links of the Bostrom chain, equal pairs added up."""
    path = real("bostrom-cyberlinks", "cyberlinks.csv")
    particles: dict[str, int] = {}
    neurons: dict[str, int] = {}
    weights: dict[tuple[int, int], float] = {}
    authors: dict[tuple[int, int], int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ends = (row["particle_from"], row["particle_to"])
            pair = tuple(particles.setdefault(end, len(particles)) for end in ends)
            neuron = neurons.setdefault(row["neuron"], len(neurons))
            weights[pair] = weights.get(pair, 0) + 1
            authors.setdefault(pair, neuron)
    return graph_of(weights, len(particles), weights.values(), authors.values())
