"""``closed-form --plan``: sizes, memory and disk of a compilation, before it begins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.closed_form import (
    divide,
    offsets_multiply_adds,
    refit_multiply_adds,
)
from structinit_core.recipes.count_plan import CountPlan

LIBRARIES_BYTES = 700 << 20
"""Resident size of the imported libraries."""
SOLVE_BYTES_PER_BIGRAM = 128
"""Log-ratio, scaled copy and transpose, target table and transpose, at their peak."""


class Plan(BaseModel):
    """The forecast of one ``closed-form`` run; bytes are upper estimates.

    ``offsets_multiply_adds``: at most, where that stage is asked for.
    ``fits``: whether ``solve_bytes`` stays within the memory that was allowed.
    """

    model_config = ConfigDict(frozen=True)
    family: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int
    parameters: int
    prediction_rank: int
    identity_dimensions: int
    position_dimensions: int
    checkpoint_bytes: int
    solve_bytes: int
    memory_bytes: int
    refit_multiply_adds: int
    offsets_multiply_adds: int
    fits: bool
    counting: CountPlan | None


def plan_closed_form(blueprint: Blueprint, counting: CountPlan | None, memory_bytes: int) -> Plan:
    """What compiling ``blueprint`` will take, within ``memory_bytes`` if it fits.

    The refit holds the start, the codes, gradients, two moments and a temporary in float32;
    placing holds codes and stream in float64 and what comes of them in float32; scoring holds
    the model twice. It begins when counting has ended, so the larger one is the peak.
    """
    dimensions = divide(blueprint)
    v, d, r = blueprint.vocabulary, blueprint.width, dimensions.prediction
    refitting = 4 * 6 * (2 * v * r + v)
    placing = 12 * 2 * v * r + 8 * (4 * v * d + blueprint.context * d + d * d)
    scoring = 2 * 4 * blueprint.parameters
    solve = (256 << 20) + max(refitting, placing, scoring)
    if counting is not None:
        solve += SOLVE_BYTES_PER_BIGRAM * min(v * v, counting.estimated_tokens)
    counted = counting.memory_bytes if counting else 0
    return Plan(
        family=blueprint.family,
        vocabulary=v,
        width=d,
        layers=blueprint.layers,
        heads=blueprint.heads,
        context=blueprint.context,
        parameters=blueprint.parameters,
        prediction_rank=r,
        identity_dimensions=dimensions.identity,
        position_dimensions=dimensions.positions,
        checkpoint_bytes=4 * blueprint.parameters,
        solve_bytes=solve,
        memory_bytes=max(LIBRARIES_BYTES + solve, counted),
        refit_multiply_adds=refit_multiply_adds(v, r),
        offsets_multiply_adds=offsets_multiply_adds(v, r),
        fits=solve <= memory_bytes,
        counting=counting,
    )
