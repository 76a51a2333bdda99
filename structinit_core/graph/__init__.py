"""Links: particles and relations by row, adjacency, focus, spectrum."""

from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.names import Names

__all__ = ["NO_NEURON", "UNTYPED", "Graph", "Names"]
