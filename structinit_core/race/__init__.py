"""Training the same model from several starts, and saying what each start is worth."""

from structinit_core.race.arms import Arm, parse_arms
from structinit_core.race.forecast import Forecast, forecast
from structinit_core.race.protocol import RaceJob, RaceProtocol
from structinit_core.race.race import race_starts
from structinit_core.race.result import RaceResult

__all__ = [
    "Arm",
    "Forecast",
    "RaceJob",
    "RaceProtocol",
    "RaceResult",
    "forecast",
    "parse_arms",
    "race_starts",
]
