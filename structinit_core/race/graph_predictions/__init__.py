"""Predictions 1 to 4 of seed 000, on graphs whose particles have labels and texts."""

from structinit_core.race.graph_predictions.protocol import (
    GraphPredictionsProtocol,
    GraphPredictionsRace,
)
from structinit_core.race.graph_predictions.race import race_graph_predictions
from structinit_core.race.graph_predictions.result import GraphPredictionsResult

__all__ = [
    "GraphPredictionsProtocol",
    "GraphPredictionsRace",
    "GraphPredictionsResult",
    "race_graph_predictions",
]
