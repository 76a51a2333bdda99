"""``graph-compile``: a graph of typed links as a transformer, by counting and solving."""

from structinit_core.initializers.graph.compile import compile_graph
from structinit_core.initializers.graph.earlier import Earlier, earlier_factors
from structinit_core.initializers.graph.fold_in import WAYS, Way
from structinit_core.initializers.graph.grow import Grown, grow
from structinit_core.initializers.graph.keys import Keys, at_home, choose_keys
from structinit_core.initializers.graph.layout import divide_graph
from structinit_core.initializers.graph.memory import crowded
from structinit_core.initializers.graph.parts import Answered, GraphParts, Kept
from structinit_core.initializers.graph.shape import (
    FAMILIES,
    GraphShape,
    suggested_heads,
    suggested_keys,
    suggested_width,
)
from structinit_core.initializers.graph.tokens import FRAME_ID, GraphTokens

__all__ = [
    "FAMILIES",
    "FRAME_ID",
    "WAYS",
    "Answered",
    "Earlier",
    "GraphParts",
    "GraphShape",
    "GraphTokens",
    "Grown",
    "Kept",
    "Keys",
    "Way",
    "at_home",
    "choose_keys",
    "compile_graph",
    "crowded",
    "divide_graph",
    "earlier_factors",
    "grow",
    "suggested_heads",
    "suggested_keys",
    "suggested_width",
]
