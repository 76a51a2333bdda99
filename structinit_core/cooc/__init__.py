"""Token ids to exact sparse counts, and the smoothed n-grams they define."""

from structinit_core.cooc.count import count_stream
from structinit_core.cooc.counts import COUNTS_KIND, COUNTS_VERSION, Counts, open_counts
from structinit_core.cooc.facts import CountFacts
from structinit_core.cooc.grouping import bytes_per_window
from structinit_core.cooc.heldout import HeldOut, write_held_out
from structinit_core.cooc.kneser_ney import KneserNey
from structinit_core.cooc.matrices import (
    Distance,
    directed_counts,
    window_counts,
    window_view,
)
from structinit_core.cooc.merge import merge_parts
from structinit_core.cooc.parts import Part, open_part
from structinit_core.cooc.prune import read_pruned
from structinit_core.cooc.references import (
    ReferenceLosses,
    reference_losses,
    reference_losses_at,
)
from structinit_core.cooc.shuffle import shuffled, shuffled_tokens
from structinit_core.cooc.trigram_rows import TrigramRows

__all__ = [
    "COUNTS_KIND",
    "COUNTS_VERSION",
    "CountFacts",
    "Counts",
    "Distance",
    "HeldOut",
    "KneserNey",
    "Part",
    "ReferenceLosses",
    "TrigramRows",
    "bytes_per_window",
    "count_stream",
    "directed_counts",
    "merge_parts",
    "open_counts",
    "open_part",
    "read_pruned",
    "reference_losses",
    "reference_losses_at",
    "shuffled",
    "shuffled_tokens",
    "window_counts",
    "window_view",
    "write_held_out",
]
