"""Links: particles and relations by row, adjacency, focus, spectrum, predictions from paths."""

from structinit_core.graph.directed import Directed, both_ways, directed
from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.keys import asked_most, worth
from structinit_core.graph.names import Names
from structinit_core.graph.paths import PathModel, PathOptions, fit_paths
from structinit_core.graph.predictions import Predictions
from structinit_core.graph.ranking import Ranking, filtered_ranks

__all__ = [
    "NO_NEURON",
    "UNTYPED",
    "Directed",
    "Graph",
    "Names",
    "PathModel",
    "PathOptions",
    "Predictions",
    "Ranking",
    "asked_most",
    "both_ways",
    "directed",
    "filtered_ranks",
    "fit_paths",
    "worth",
]
