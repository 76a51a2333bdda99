"""``--plan``: sizes, memory and disk of a run, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import Blueprint
from structinit_core.errors import InputError
from structinit_core.initializers.closed_form import REFIT_STEPS, divide

_LIBRARIES_BYTES = 700 << 20
"""Resident size of the imported libraries."""
_BYTES_PER_TOKEN = 4
_PACKED_RATIOS = {".gz": 3, ".zst": 4, ".parquet": 3}
"""Text bytes per file byte, by the end of the name."""
SOLVE_BYTES_PER_BIGRAM = 128
"""Log-ratio, scaled copy and transpose, target table and transpose, at their peak."""


class CountPlan(BaseModel):
    """The forecast of a count: estimates from file sizes, and the bound that was given."""

    model_config = ConfigDict(frozen=True)
    text_bytes: int
    estimated_tokens: int
    disk_bytes: int
    memory_bytes: int


class Plan(BaseModel):
    """The forecast of one ``closed-form`` run; bytes are upper estimates.

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
    fits: bool
    counting: CountPlan | None


def plan_counting(texts: Sequence[Path], offsets: int, memory_bytes: int) -> CountPlan:
    """What counting ``texts`` will take, from their sizes alone.

    Disk: a distinct bigram per token and offset, a distinct trigram per token, and the token
    stream while it is counted; real corpora repeat themselves and need less.
    """
    sizes = [_size(path) * _PACKED_RATIOS.get(path.suffix.lower(), 1) for path in texts]
    tokens = sum(sizes) // _BYTES_PER_TOKEN
    counting = min(memory_bytes, 64 * tokens + (64 << 20))
    return CountPlan(
        text_bytes=sum(sizes),
        estimated_tokens=tokens,
        disk_bytes=tokens * (8 * offsets + 12 + 4),
        memory_bytes=_LIBRARIES_BYTES // 2 + counting,
    )


def plan_closed_form(blueprint: Blueprint, counting: CountPlan | None, memory_bytes: int) -> Plan:
    """What compiling ``blueprint`` will take, within ``memory_bytes`` if it fits.

    The solve holds codes, gradients and two moments in float32; then codes, embedding,
    positions and head in float64 while they are placed; then the model twice in float32
    while it is scored. It begins when counting has ended, so the larger one is the peak.
    """
    dimensions = divide(blueprint)
    v, d, r = blueprint.vocabulary, blueprint.width, dimensions.prediction
    refitting = 4 * 4 * (2 * v * r + v)
    placing = 8 * (2 * v * r + 3 * v * d + blueprint.context * d + d * d)
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
        memory_bytes=max(_LIBRARIES_BYTES + solve, counted),
        refit_multiply_adds=REFIT_STEPS * 3 * v * v * r,
        fits=solve <= memory_bytes,
        counting=counting,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
