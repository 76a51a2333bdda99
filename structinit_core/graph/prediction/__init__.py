"""Objects of a query (subject, relation) predicted from relation paths, and their ranks."""

from structinit_core.graph.prediction.directed import Directed, both_ways, directed
from structinit_core.graph.prediction.keys import asked_most, valuable, worth
from structinit_core.graph.prediction.model import PathModel, PathOptions, fit_paths
from structinit_core.graph.prediction.predictions import Predictions
from structinit_core.graph.prediction.prior import Prior, fit_prior
from structinit_core.graph.prediction.ranking import Ranking, filtered_ranks, ranks_of
from structinit_core.graph.prediction.stored import open_paths, save_paths

__all__ = [
    "Directed",
    "PathModel",
    "PathOptions",
    "Predictions",
    "Prior",
    "Ranking",
    "asked_most",
    "both_ways",
    "directed",
    "filtered_ranks",
    "fit_paths",
    "fit_prior",
    "open_paths",
    "ranks_of",
    "save_paths",
    "valuable",
    "worth",
]
