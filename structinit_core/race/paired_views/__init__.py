"""The compute-matched protocol of seed 002, in networks of its own."""

from structinit_core.race.paired_views.job import PairedViewsProtocol, PairedViewsRace
from structinit_core.race.paired_views.plan import PairedViewsForecast, forecast_paired_views
from structinit_core.race.paired_views.race import race_paired_views

__all__ = [
    "PairedViewsForecast",
    "PairedViewsProtocol",
    "PairedViewsRace",
    "forecast_paired_views",
    "race_paired_views",
]
