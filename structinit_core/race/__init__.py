"""Training the same model from several starts, and saying what each start is worth."""

from structinit_core.race.arms import Arm, parse_arms
from structinit_core.race.forecast import Forecast, forecast
from structinit_core.race.k0_table4 import reproduce_k0_table4
from structinit_core.race.k0_table4_text import K0Table4Protocol
from structinit_core.race.protocol import RaceJob, RaceProtocol
from structinit_core.race.race import race_starts
from structinit_core.race.result import RaceResult

__all__ = [
    "Arm",
    "Forecast",
    "K0Table4Protocol",
    "RaceJob",
    "RaceProtocol",
    "RaceResult",
    "forecast",
    "parse_arms",
    "race_starts",
    "reproduce_k0_table4",
]
