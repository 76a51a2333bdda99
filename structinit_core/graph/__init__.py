"""Links: particles and relations by row, adjacency, focus, spectrum."""

from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.keyed import KeyedFile
from structinit_core.graph.names import Names
from structinit_core.graph.reading import LinkSource, ReadFacts, read_graph
from structinit_core.graph.semcons import axon, discover_semcons
from structinit_core.graph.splitting import LeftOut, numbered_like, split_links
from structinit_core.graph.stored import GRAPH_KIND, GRAPH_VERSION, open_graph, save_graph

__all__ = [
    "GRAPH_KIND",
    "GRAPH_VERSION",
    "NO_NEURON",
    "UNTYPED",
    "Graph",
    "KeyedFile",
    "LeftOut",
    "LinkSource",
    "Names",
    "ReadFacts",
    "axon",
    "discover_semcons",
    "numbered_like",
    "open_graph",
    "read_graph",
    "save_graph",
    "split_links",
]
