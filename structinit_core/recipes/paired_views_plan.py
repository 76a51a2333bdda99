"""``closed-form --method paired-views --plan``: sizes and memory of a fit, before it begins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from structinit_core.initializers.paired_views import PairedViewsConfig, tensor_specs
from structinit_core.recipes.count_plan import CountPlan
from structinit_core.recipes.solve_plan import LIBRARIES_BYTES

METHOD = "paired-views"


class PairedViewsPlan(BaseModel):
    """The forecast of one run; bytes are upper estimates.

    ``windows``: as many as are asked for; a short text has fewer. ``multiply_adds``: of the fit,
    by the source's proxy. ``fits``: whether ``solve_bytes`` stays within what was allowed.
    """

    model_config = ConfigDict(frozen=True)
    method: str
    vocabulary: int
    width: int
    blocks: int
    heads: int
    context: int
    windows: int
    parameters: int
    checkpoint_bytes: int
    solve_bytes: int
    memory_bytes: int
    multiply_adds: int
    fits: bool
    counting: CountPlan


def forecast_fit(
    config: PairedViewsConfig, counting: CountPlan, memory_bytes: int
) -> PairedViewsPlan:
    """What a fit of ``config``, its vocabulary known, will take; it follows the counting.

    A block of windows lies there in float32 and float64, beside all moments, the equations of
    the readouts, and the model twice.
    """
    d, heads, context = (
        config.hidden_size,
        config.num_attention_heads,
        config.max_position_embeddings,
    )
    parameters = sum(spec.parameters for spec in tensor_specs(config))
    rows, wide = max(8192, context), (config.num_hidden_layers + 1) * d
    states = rows * (80 * d + heads * (12 * d + 8 * context))
    moments = 8 * (12 * (heads * d) ** 2 + 2 * wide**2)
    readouts = 8 * config.tokens * (3 * wide + 4 * 512)
    solve = (64 << 20) + states + moments + readouts + 8 * parameters
    return PairedViewsPlan(
        method=METHOD,
        vocabulary=config.tokens,
        width=d,
        blocks=config.num_hidden_layers,
        heads=heads,
        context=context,
        windows=config.windows,
        parameters=parameters,
        checkpoint_bytes=4 * parameters,
        solve_bytes=solve,
        memory_bytes=max(LIBRARIES_BYTES + solve, counting.memory_bytes),
        multiply_adds=config.compute(config.windows).initialisation(),
        fits=solve <= memory_bytes,
        counting=counting,
    )
