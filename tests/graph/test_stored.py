"""The graph artifact: what is opened is what was saved, and nothing else is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from structinit_core.artifact import Recipe, load_array, save_array, staged
from structinit_core.errors import IncompatibleError
from structinit_core.graph import (
    GRAPH_KIND,
    GRAPH_VERSION,
    Graph,
    KeyedFile,
    LinkSource,
    open_graph,
    read_graph,
    save_graph,
)

RECIPE = Recipe(kind=GRAPH_KIND, version=GRAPH_VERSION, params={}, inputs=())


@pytest.fixture
def graph(put) -> Graph:
    text = "neuron,from,to,type,amount,height\nn,a,кот,r,1,5\n,кот,c,q,2,6\nn,a,c,r,0.5,7\n"
    labels = KeyedFile(put("labels.tsv", "c\tthe last\n"))
    return read_graph(LinkSource([put("a.csv", text)], labels=labels))[0]


def publish(graph: Graph, output: Path, **changes: np.ndarray) -> Path:
    with staged(output, RECIPE) as work:
        save_graph(work, graph)
        for name, values in changes.items():
            save_array(work / f"{name.replace('_', '.')}.npy", values)
    return output


def test_what_was_saved_is_opened(graph: Graph, tmp_path: Path) -> None:
    found = open_graph(publish(graph, tmp_path / "graph"))
    for name in ("particles", "relations", "neurons", "labels"):
        assert list(getattr(found, name)) == list(getattr(graph, name))
    for name in ("subject", "relation", "object", "weight", "neuron", "height"):
        assert getattr(found, name).tolist() == getattr(graph, name).tolist()
    assert found.label(2) == "the last"
    assert found.particles.find("кот") == 1
    assert isinstance(found.subject, np.memmap)


def test_equal_graphs_have_equal_bytes(graph: Graph, tmp_path: Path) -> None:
    one, two = publish(graph, tmp_path / "one"), tmp_path / "two"
    publish(open_graph(one), two)
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": ints(0, 1, 3)},
        {"subject": ints(0, 1)},
        {"object": ints(1, -1, 2)},
        {"relation": ints(0, 1, 2)},
        {"neuron": ints(0, -2, 0)},
        {"neuron": ints(0, 1, 0)},
        {"weight": np.array([1, np.nan, 1])},
        {"weight": np.array([1.0, 0, 1])},
        {"weight": np.array([1.0, np.inf, 1])},
        {"height": np.zeros(4, np.int64)},
        {"subject": np.zeros(3, np.int64)},
        {"subject": ints(0, 0, 0), "object": ints(1, 1, 1), "relation": ints(0, 0, 0)},
        {"particles_offsets": np.array([0, 1, 8, 8])},
        {"particles_offsets": np.array([0, 2, 7, 8])},
        {"particles_offsets": np.array([1, 1, 7, 8])},
        {"particles_offsets": np.array([0, 9, 7, 8])},
        {"particles_offsets": np.array([], np.int64)},
        {"particles_text": np.frombuffer(b"a\xff\xff\xff\xff\xff\xffc", np.uint8)},
        {"particles_text": np.frombuffer("cкотc".encode(), np.uint8)},
        {"labels_offsets": np.array([0, 8], np.int64)},
    ],
)
def test_arrays_that_make_no_graph_are_refused(graph: Graph, tmp_path: Path, changes) -> None:
    with pytest.raises(IncompatibleError):
        open_graph(publish(graph, tmp_path / "graph", **changes))


def test_a_truncated_array_is_refused(graph: Graph, tmp_path: Path) -> None:
    path = publish(graph, tmp_path / "graph") / "weight.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IncompatibleError, match="bytes long"):
        open_graph(path.parent)


def test_the_offsets_above_are_one_number_away_from_the_real_ones(graph, tmp_path) -> None:
    output = publish(graph, tmp_path / "graph")
    assert load_array(output / "particles.offsets.npy").tolist() == [0, 1, 7, 8]
