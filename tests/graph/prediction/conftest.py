"""Links of small graphs: drawn at random, of families, and of the shared data sets."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from structinit_core.graph import NO_NEURON, Graph, Names
from structinit_core.linalg import generator

DATA = Path(__file__).parents[4] / "shared" / "data"
Rows = Iterable[tuple[int, int, int]]


def graph_of(rows: Rows, particles: int, relations: int) -> Graph:
    """The graph of some links (subject, relation, object)."""
    columns = np.array(list(rows), np.int32).reshape(-1, 3).T
    links = columns.shape[1]
    return Graph(
        Names.of(f"p{row}" for row in range(particles)),
        Names.of(f"r{row}" for row in range(relations)),
        Names.of([]),
        *columns,
        weight=np.ones(links),
        neuron=np.full(links, NO_NEURON, np.int32),
        height=np.zeros(links, np.int64),
    )


@pytest.fixture(scope="session")
def make_graph():
    return graph_of


@pytest.fixture(scope="session")
def random_graph() -> Graph:
    """Some 115 links of three relations between 20 particles: none says anything of another."""
    drawn = generator(0, "links").integers(0, [20, 3, 20], (120, 3))
    drawn = drawn[drawn[:, 0] != drawn[:, 2]]
    return graph_of(sorted(set(map(tuple, drawn.tolist()))), 20, 3)


@pytest.fixture(scope="session")
def families() -> tuple[Graph, Graph]:
    """Parent, child and grandparent of 364 people of 28 families; 40 grandparents are hidden."""
    parent = [(13 * family + child, 13 * family + (child - 1) // 3)
              for family in range(28) for child in range(1, 13)]  # fmt: skip
    above = dict(parent)
    rows = [(x, 0, y) for x, y in parent] + [(y, 1, x) for x, y in parent]
    grand = [(x, 2, above[y]) for x, y in parent if y in above]
    hidden = set(generator(0, "hidden").permutation(len(grand))[:40].tolist())
    rows += [link for at, link in enumerate(grand) if at not in hidden]
    held = [link for at, link in enumerate(grand) if at in hidden]
    return graph_of(rows, 364, 3), graph_of(held, 364, 3)


def splits(folder: Path, ending: str = "tsv") -> list[Graph]:
    """Train, valid and test of a data set; skips the test where it is not there."""
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not beside the checkout")
    particles, relations, parts = {}, {}, []
    for part in ("train", "valid", "test"):
        packed = (folder / f"{part}.{ending}").read_bytes()
        text = (gzip.decompress(packed) if ending.endswith("gz") else packed).decode()
        rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
        parts.append([(particles.setdefault(head, len(particles)),
                       relations.setdefault(relation, len(relations)),
                       particles.setdefault(tail, len(particles)))
                      for head, relation, tail in rows])  # fmt: skip
    return [graph_of(part, len(particles), len(relations)) for part in parts]


@pytest.fixture(scope="session")
def umls() -> list[Graph]:
    return splits(DATA / "small-kgs" / "umls")


@pytest.fixture(scope="session")
def wn18rr() -> list[Graph]:
    return splits(DATA / "wn18rr", "tsv.gz")
