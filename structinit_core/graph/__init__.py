"""Links: particles and relations by row, adjacency, focus, spectrum, predictions from paths."""

from structinit_core.graph.focus import Focus, pagerank
from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.keyed import KeyedFile
from structinit_core.graph.names import Names
from structinit_core.graph.prediction import (
    Directed,
    PathModel,
    PathOptions,
    Predictions,
    Ranking,
    asked_most,
    both_ways,
    directed,
    filtered_ranks,
    fit_paths,
    open_paths,
    ranks_of,
    save_paths,
    worth,
)
from structinit_core.graph.reading import LinkSource, ReadFacts, read_graph
from structinit_core.graph.references import References, link_references, walk_references
from structinit_core.graph.semcons import axon, discover_semcons
from structinit_core.graph.splitting import LeftOut, numbered_like, split_links
from structinit_core.graph.stored import GRAPH_KIND, GRAPH_VERSION, open_graph, save_graph
from structinit_core.graph.tri_kernel import tri_kernel

__all__ = [
    "GRAPH_KIND",
    "GRAPH_VERSION",
    "NO_NEURON",
    "UNTYPED",
    "Directed",
    "Focus",
    "Graph",
    "KeyedFile",
    "LeftOut",
    "LinkSource",
    "Names",
    "PathModel",
    "PathOptions",
    "Predictions",
    "Ranking",
    "ReadFacts",
    "References",
    "asked_most",
    "axon",
    "both_ways",
    "directed",
    "discover_semcons",
    "filtered_ranks",
    "fit_paths",
    "link_references",
    "numbered_like",
    "open_graph",
    "open_paths",
    "pagerank",
    "ranks_of",
    "read_graph",
    "save_graph",
    "save_paths",
    "split_links",
    "tri_kernel",
    "walk_references",
    "worth",
]
