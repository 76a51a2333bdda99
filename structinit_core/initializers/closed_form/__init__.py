"""``closed-form``: a language model by counting and solving."""

from structinit_core.initializers.closed_form.bigram import StageResult
from structinit_core.initializers.closed_form.codes import LogBilinear, Pairs, loss, scored_pairs
from structinit_core.initializers.closed_form.compile import (
    CompiledNgram,
    compile_ngram,
    refuse_unsupported,
)
from structinit_core.initializers.closed_form.contexts import TextContexts
from structinit_core.initializers.closed_form.layout import divide
from structinit_core.initializers.closed_form.offset_fit import offsets_multiply_adds
from structinit_core.initializers.closed_form.price import offset_costs
from structinit_core.initializers.closed_form.rows import clip
from structinit_core.initializers.closed_form.solver import refit_multiply_adds
from structinit_core.initializers.closed_form.stages import (
    DEFAULT_STAGES,
    OFFSETS,
    SAMPLED_TOKENS,
    STAGES,
    TableSizes,
    chosen_stages,
    stage_bytes,
)

__all__ = [
    "DEFAULT_STAGES",
    "OFFSETS",
    "SAMPLED_TOKENS",
    "STAGES",
    "CompiledNgram",
    "LogBilinear",
    "Pairs",
    "StageResult",
    "TableSizes",
    "TextContexts",
    "chosen_stages",
    "clip",
    "compile_ngram",
    "divide",
    "loss",
    "offset_costs",
    "offsets_multiply_adds",
    "refit_multiply_adds",
    "refuse_unsupported",
    "scored_pairs",
    "stage_bytes",
]
