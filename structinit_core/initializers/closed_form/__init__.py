"""``closed-form``: a language model by counting and solving."""

from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss, scored_pairs
from structinit_core.initializers.closed_form.compile import (
    CompiledBigram,
    StageResult,
    compile_bigram,
    refuse_unsupported,
)
from structinit_core.initializers.closed_form.layout import divide
from structinit_core.initializers.closed_form.solver import refit_multiply_adds

__all__ = [
    "CompiledBigram",
    "LogBilinear",
    "Pairs",
    "StageResult",
    "compile_bigram",
    "divide",
    "loss",
    "refit_multiply_adds",
    "refuse_unsupported",
    "scored_pairs",
]
