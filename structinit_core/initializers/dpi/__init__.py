"""``dpi-init``: deterministic pipeline initialisation, seed 001, seeded throughout."""

from structinit_core.initializers.dpi.cosines import aliases
from structinit_core.initializers.dpi.forecast import Forecast, forecast, multiply_adds_per_second
from structinit_core.initializers.dpi.lexical import (
    Lexical,
    load_lexical,
    make_lexical,
    save_lexical,
)
from structinit_core.initializers.dpi.progression import Progression, Sources, load_progression
from structinit_core.initializers.dpi.sample import Tokens, draw_sample, make_probes
from structinit_core.initializers.dpi.sequence import LayerSequence
from structinit_core.initializers.dpi.settings import VARIANTS, DpiSettings, choose

__all__ = [
    "VARIANTS",
    "DpiSettings",
    "Forecast",
    "LayerSequence",
    "Lexical",
    "Progression",
    "Sources",
    "Tokens",
    "aliases",
    "choose",
    "draw_sample",
    "forecast",
    "load_lexical",
    "load_progression",
    "make_lexical",
    "make_probes",
    "multiply_adds_per_second",
    "save_lexical",
]
