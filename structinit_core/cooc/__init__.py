"""Token ids to exact sparse counts, and the smoothed n-grams they define."""

from structinit_core.cooc.count import count_stream
from structinit_core.cooc.counts import COUNTS_KIND, COUNTS_VERSION, Counts, open_counts
from structinit_core.cooc.kneser_ney import KneserNey
from structinit_core.cooc.references import ReferenceLosses, reference_losses
from structinit_core.cooc.shuffle import shuffled

__all__ = [
    "COUNTS_KIND",
    "COUNTS_VERSION",
    "Counts",
    "KneserNey",
    "ReferenceLosses",
    "count_stream",
    "open_counts",
    "reference_losses",
    "shuffled",
]
