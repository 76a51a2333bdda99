"""Links: particles and relations by row, adjacency, focus, spectrum."""

from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.keyed import KeyedFile
from structinit_core.graph.names import Names
from structinit_core.graph.reading import LinkSource, ReadFacts, read_graph

__all__ = [
    "NO_NEURON",
    "UNTYPED",
    "Graph",
    "KeyedFile",
    "LinkSource",
    "Names",
    "ReadFacts",
    "read_graph",
]
