"""Links: particles and relations by row, adjacency, focus, spectrum."""

from structinit_core.graph.focus import Focus, pagerank
from structinit_core.graph.graph import NO_NEURON, UNTYPED, Graph
from structinit_core.graph.names import Names
from structinit_core.graph.tri_kernel import tri_kernel

__all__ = ["NO_NEURON", "UNTYPED", "Focus", "Graph", "Names", "pagerank", "tri_kernel"]
