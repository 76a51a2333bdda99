"""``closed-form --plan``: sizes, memory and disk of a compilation, before it begins."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import Blueprint
from structinit_core.cooc import Counts, open_counts
from structinit_core.initializers.closed_form import (
    OFFSETS,
    TableSizes,
    divide,
    offsets_multiply_adds,
    refit_multiply_adds,
    stage_bytes,
)
from structinit_core.recipes.compile_job import (
    ClosedFormJob,
    promised_vocabulary,
    refuse_vocabulary,
)
from structinit_core.recipes.count_forecast import forecast_counting
from structinit_core.recipes.count_plan import CountPlan
from structinit_core.recipes.count_source import CountSource

LIBRARIES_BYTES = 700 << 20
"""Resident size of the imported libraries."""
_BYTES_PER_PAIR = 128
"""Log-ratio, scaled copy and transpose, target table and transpose, at their peak."""


class Plan(BaseModel):
    """The forecast of one ``closed-form`` run; bytes are upper estimates.

    ``solve_bytes``: of the bigram; ``stage_bytes``: of later stages beside it, one at a time.
    ``offsets_multiply_adds``: at most, where that stage is asked for.
    ``fits``: whether the bigram with each of them stays within the memory that was allowed.
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
    stage_bytes: dict[str, int]
    memory_bytes: int
    refit_multiply_adds: int
    offsets_multiply_adds: int
    fits: bool
    counting: CountPlan | None


def plan(job: ClosedFormJob) -> Plan:
    """The forecast of ``job``, from the config and the counts or a sample of the text.

    Writes nothing.

    Raises:
        IncompatibleError: a model this method cannot compile. InputError: a missing file.
    """
    if job.counts is not None:
        return plan_of_counts(job, open_counts(job.counts))
    assert job.source is not None
    return plan_of_text(job, job.source, forecast_counting)


def plan_of_text(
    job: ClosedFormJob, source: CountSource, forecast: Callable[[CountSource, int], CountPlan]
) -> Plan:
    """The same for tables as large as ``forecast`` says that ``source`` can make them."""
    blueprint = job.blueprint()
    vocabulary = promised_vocabulary(source)
    refuse_vocabulary(vocabulary, blueprint)
    counting = forecast(source, job.memory_bytes)
    sizes = TableSizes.at_most(counting.estimated_tokens, vocabulary, source.offsets)
    return _plan(job, blueprint, sizes, counting)


def plan_of_counts(job: ClosedFormJob, counts: Counts) -> Plan:
    """The same for the tables there are."""
    return _plan(job, job.blueprint(), TableSizes.of(counts), None)


def _plan(
    job: ClosedFormJob, blueprint: Blueprint, sizes: TableSizes, counting: CountPlan | None
) -> Plan:
    """What compiling takes.

    The refit holds the start, the codes, gradients, two moments and a temporary in float32;
    placing holds codes and stream in float64 and what comes of them in float32; scoring holds
    the model twice. It begins when counting has ended, so the larger one is the peak.
    """
    dimensions = divide(blueprint)
    v, d, r = blueprint.vocabulary, blueprint.width, dimensions.prediction
    refitting = 4 * 6 * (2 * v * r + v)
    placing = 12 * 2 * v * r + 8 * (4 * v * d + blueprint.context * d + d * d)
    scoring = 2 * 4 * blueprint.parameters
    solve = (256 << 20) + max(refitting, placing, scoring) + _BYTES_PER_PAIR * sizes.pairs[0]
    beside = stage_bytes(job.stages, blueprint, sizes)
    needed = solve + max(beside.values(), default=0)
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
        stage_bytes=beside,
        memory_bytes=max(LIBRARIES_BYTES + needed, counted),
        refit_multiply_adds=refit_multiply_adds(v, r),
        offsets_multiply_adds=offsets_multiply_adds(v, r) if OFFSETS in job.stages else 0,
        fits=needed <= job.memory_bytes,
        counting=counting,
    )
