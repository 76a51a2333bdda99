"""``--plan``: sizes, memory and disk of a compilation, before anything is computed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.closed_form import divide

_LIBRARIES_BYTES = 700 << 20
"""Resident size of the imported libraries."""


class Plan(BaseModel):
    """The forecast of one ``closed-form`` run; bytes are upper estimates."""

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


def plan_closed_form(blueprint: Blueprint, counting_bytes: int, refit_steps: int) -> Plan:
    """What compiling ``blueprint`` will take. ``counting_bytes``: the bound given to counting.

    The solve holds codes, gradients and two moments in float32, then embedding and head in
    float64 while they are placed, or the whole model in float32 while it is scored; it
    begins when counting has ended, so the larger of the two is the peak.
    """
    dimensions = divide(blueprint.width)
    v, d, r = blueprint.vocabulary, blueprint.width, dimensions.prediction
    codes = 4 * 4 * (2 * v * r + v)
    placed = 4 * codes // 16 + 8 * v * 4 * d
    solve = max(codes, placed, 4 * v * d * 2 + 4 * blueprint.parameters) + (256 << 20)
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
        memory_bytes=_LIBRARIES_BYTES + max(counting_bytes, solve),
        refit_multiply_adds=refit_steps * 3 * v * v * r,
    )
