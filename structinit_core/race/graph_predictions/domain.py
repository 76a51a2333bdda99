"""A graph whose particles have labels and texts: the part that the texts mention most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import InputError
from structinit_core.graph import (
    NO_NEURON,
    UNTYPED,
    Graph,
    KeyedFile,
    LinkSource,
    Names,
    read_graph,
)
from structinit_core.graph.keyed import read_pairs
from structinit_core.progress import Progress
from structinit_core.race.graph_predictions.labels import Labels, words_of

LINKS = "edges.tsv.gz"


@dataclass(frozen=True)
class DomainLayout:
    """Which columns of the table ``nodes`` say what of a particle.

    labels: joined by ``|``, ``None`` where the name is the label; texts: in the order they are
    read; rank: of two particles with one label the larger has it; neuron: who said the links
    that begin there.
    """

    name: str
    nodes: str
    key: str
    texts: tuple[str, ...]
    labels: str | None = None
    rank: str | None = None
    neuron: str | None = None


WORDNET = DomainLayout(
    "wordnet-3.0", "synsets.tsv.gz", "id", ("definition", "examples"), "lemmas", "sense_count"
)
DEBIAN = DomainLayout(
    "debian-packages", "packages.tsv.gz", "package", ("summary", "description"), neuron="neuron"
)


@dataclass(frozen=True)
class Domain:
    """A graph, its labels, and (particle, words) of each particle's own text.

    ``graph.neuron`` is the neuron of each link, ``NO_NEURON`` where none is named.
    """

    name: str
    graph: Graph
    labels: Labels
    documents: tuple[tuple[int, list[str]], ...]


def domain_paths(layout: DomainLayout, directory: Path) -> tuple[Path, Path]:
    """The files of links and of nodes."""
    return directory / LINKS, directory / layout.nodes


def read_domain(
    layout: DomainLayout, directory: Path, particles: int, progress: Progress
) -> Domain:
    """The ``particles`` with most mentions in the texts of all times links, and what joins them.

    Links lose their types, which a text does not name: two particles are linked once in each
    direction that the files name. Cost: a few seconds a million words. Deterministic.

    Raises:
        InputError: files that are not there or not of this layout, or no link among them.
    """
    links, nodes = domain_paths(layout, directory)
    graph, _ = read_graph(LinkSource([links]), progress=progress)
    progress.stage(f"reading {nodes.name}")
    names = {name: row for row, name in enumerate(graph.particles)}
    texts = {
        name: words_of(" ".join(parts).replace("\\n", " ").replace("|", " ; "))
        for name, parts in _columns(nodes, layout.key, layout.texts).items()
    }
    labels = _labels(layout, nodes, names)
    mentioned = np.zeros(len(names), np.int64)
    for words in texts.values():
        rows = [piece for piece in labels.match(words) if isinstance(piece, int)]
        np.add.at(mentioned, rows, 1)
    size = len(names)
    linked = np.bincount(graph.subject, minlength=size) + np.bincount(graph.object, minlength=size)
    chosen = np.sort(np.argsort(-(mentioned * linked), kind="stable")[:particles])
    place = np.full(len(names), -1)
    place[chosen] = np.arange(len(chosen))
    if layout.neuron:
        said_by = {k: v[0] for k, v in _columns(nodes, layout.key, (layout.neuron,)).items()}
        graph = _with_neurons(graph, said_by)
    part = _part(graph, place, [name for name, row in names.items() if place[row] >= 0])
    if not len(part):
        raise InputError("no link joins the particles most mentioned", where=str(links))
    documents = [
        (int(place[names[name]]), words)
        for name, words in texts.items()
        if name in names and place[names[name]] >= 0 and words
    ]
    return Domain(layout.name, part, labels.only(place.tolist()), tuple(documents))


def _columns(nodes: Path, key: str, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The given columns by name of the particle."""
    rows = [
        {name: text for _, name, text in read_pairs(KeyedFile(nodes, key, column), (), ())}
        for column in columns
    ]
    return {name: tuple(row[name] for row in rows) for name in rows[0]}


def _labels(layout: DomainLayout, nodes: Path, names: Mapping[str, int]) -> Labels:
    if layout.labels is None:
        own = _columns(nodes, layout.key, layout.texts[:1])
        # What has no text of its own is called by what stands last in its name.
        rest = ((row, name.split(":")[-1]) for name, row in names.items() if name not in own)
        return Labels(chain(((names[name], name) for name in own if name in names), rest))
    columns = (layout.labels, layout.rank) if layout.rank else (layout.labels,)
    rows = [(name, *found) for name, found in _columns(nodes, layout.key, columns).items()]
    if layout.rank:
        rows.sort(key=lambda row: -float(row[2] or 0))
    return Labels(
        (names[row[0]], label) for row in rows if row[0] in names for label in row[1].split("|")
    )


def _with_neurons(graph: Graph, said_by: Mapping[str, str]) -> Graph:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(said_by.values()))}
    of = [numbers.get(said_by.get(name, ""), NO_NEURON) for name in graph.particles]
    return replace(graph, neurons=Names.of(numbers), neuron=np.array(of, np.int32)[graph.subject])


def _part(graph: Graph, place: NDArray[np.int64], names: list[str]) -> Graph:
    """The links between particles with a ``place``, renumbered and without their types."""
    subject, object_ = place[graph.subject], place[graph.object]
    (kept,) = np.nonzero((subject >= 0) & (object_ >= 0))
    _, first = np.unique(subject[kept] * len(names) + object_[kept], return_index=True)
    links = kept[np.sort(first)]
    return Graph(
        Names.of(names),
        Names.of([UNTYPED]),
        graph.neurons,
        subject[links].astype(np.int32),
        np.zeros(len(links), np.int32),
        object_[links].astype(np.int32),
        np.ones(len(links)),
        graph.neuron[links],
        graph.height[links],
    )
