"""``dpi-init --plan``: sizes, memory, disk and time of an initialisation, before it begins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import make_blueprint, named_config
from structinit_core.checkpoint import DTYPES, plan_shards
from structinit_core.initializers.dpi import forecast, multiply_adds_per_second
from structinit_core.linalg import resolve_device
from structinit_core.recipes.compile_job import promised_vocabulary, refuse_vocabulary
from structinit_core.recipes.count_forecast import forecast_counting
from structinit_core.recipes.count_plan import CountPlan
from structinit_core.recipes.dpi_job import DpiJob

_LIBRARIES_BYTES = 700 << 20
"""Resident size of the imported libraries."""


class DpiPlan(BaseModel):
    """The forecast of one ``dpi-init`` run; bytes are upper estimates.

    ``seconds``: of making the layers, from the rate of a matrix product measured now; counting
    and the disk come on top. ``resumable_bytes``: disk beside the checkpoint while it is made.
    ``fits``: whether ``working_bytes`` stay within the memory that was allowed.
    """

    model_config = ConfigDict(frozen=True)
    family: str
    variant: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int
    parameters: int
    dtype: str
    checkpoint_bytes: int
    shards: int
    resumable_bytes: int
    sample_tokens: int
    scored_tokens: int
    working_bytes: int
    memory_bytes: int
    multiply_adds: dict[str, int]
    device: str
    seconds: float
    fits: bool
    counting: CountPlan | None


def plan_dpi(job: DpiJob) -> DpiPlan:
    """The forecast of ``job``: reads the config and a sample of the text, writes nothing.

    Raises:
        IncompatibleError: a config without a blueprint, or a tokenizer larger than it.
        InputError: a missing file. MissingError: the device is not there.
    """
    blueprint = make_blueprint(named_config(job.config))
    counting = None
    if job.counts is None:
        refuse_vocabulary(promised_vocabulary(job.source), blueprint)
        counting = forecast_counting(job.source, job.memory_bytes)
    dtype = DTYPES[job.dtype]
    expected = forecast(job.settings, blueprint)
    device, _ = resolve_device(job.device, expected.total)
    width, size = blueprint.width, dtype.itemsize
    state = 4 * width * (expected.stream_positions + expected.scored_tokens + width)
    specs = [spec for spec in blueprint.tensors if not spec.tied_to]
    tables = 4 * blueprint.vocabulary * width * (1 if blueprint.tied else 2)
    counted = counting.memory_bytes if counting else 0
    return DpiPlan(
        family=blueprint.family,
        variant=job.settings.variant,
        vocabulary=blueprint.vocabulary,
        width=width,
        layers=blueprint.layers,
        heads=blueprint.heads,
        context=blueprint.context,
        parameters=blueprint.parameters,
        dtype=job.dtype,
        checkpoint_bytes=size * blueprint.parameters,
        shards=len(plan_shards(specs, dtype, job.shard_bytes)),
        resumable_bytes=2 * state + tables + (counting.disk_bytes if counting else 0),
        sample_tokens=expected.stream_positions,
        scored_tokens=expected.scored_tokens,
        working_bytes=expected.memory_bytes,
        memory_bytes=max(_LIBRARIES_BYTES + expected.memory_bytes, counted),
        multiply_adds=expected.multiply_adds,
        device=str(device),
        seconds=round(expected.total / multiply_adds_per_second(device), 1),
        fits=expected.memory_bytes <= job.memory_bytes,
        counting=counting,
    )
