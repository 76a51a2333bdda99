"""``cooc --plan``: what a count or a merge will take at most, from file sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from structinit_core.errors import InputError
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.merging import open_parts

_LIBRARIES_BYTES = 350 << 20
"""Resident size of the imported libraries."""
_BYTES_PER_TOKEN = 4
_PACKED_RATIOS = {".gz": 3, ".zst": 4, ".parquet": 3}
"""Text bytes per file byte, by the end of the name."""


class CountPlan(BaseModel):
    """The forecast of a count.

    From ``sampled_bytes`` of the text, or from file sizes alone where that is 0; then there
    are no ``seconds``, and ``disk_bytes`` and ``memory_bytes`` are upper bounds.
    ``scratch_bytes``: disk beside the result while it is made.
    """

    model_config = ConfigDict(frozen=True)
    text_bytes: int
    sampled_bytes: int
    estimated_tokens: int
    seconds: float | None
    disk_bytes: int
    scratch_bytes: int
    memory_bytes: int


class MergePlan(BaseModel):
    """The forecast of a merge: exact tokens, and bounds of disk and memory."""

    model_config = ConfigDict(frozen=True)
    counted_tokens: int
    held_out_tokens: int
    disk_bytes: int
    memory_bytes: int


def bound_counting(source: CountSource, memory_bytes: int) -> CountPlan:
    """What counting ``source`` takes at most, from the sizes of its files alone.

    Disk: a distinct bigram per token and offset, a distinct trigram per token; real corpora
    repeat themselves and need less.
    """
    sizes = [size_of(path) * _PACKED_RATIOS.get(path.suffix.lower(), 1) for path in source.texts]
    tokens = sum(sizes) // _BYTES_PER_TOKEN // (source.shard or (0, 1))[1]
    counting = min(memory_bytes, 64 * tokens + (64 << 20))
    return CountPlan(
        text_bytes=sum(sizes),
        sampled_bytes=0,
        estimated_tokens=tokens,
        seconds=None,
        disk_bytes=tokens * (8 * source.offsets + 12),
        scratch_bytes=4 * tokens,
        memory_bytes=_LIBRARIES_BYTES + counting,
    )


def plan_merging(parts: Sequence[Path], memory_bytes: int) -> MergePlan:
    """What merging ``parts`` will take: at most the disk of all together.

    Raises:
        as the merge itself, of parts that cannot be added up.
    """
    opened = open_parts(parts)
    disk = sum(entry.bytes for part in opened for entry in part.manifest.files.values())
    held_out_spans = sum(part.facts.held_out_spans for part in opened)
    return MergePlan(
        counted_tokens=sum(part.facts.counted_tokens for part in opened),
        held_out_tokens=sum(part.facts.held_out_tokens for part in opened),
        disk_bytes=disk,
        memory_bytes=_LIBRARIES_BYTES + min(memory_bytes, 16 * disk) + 64 * held_out_spans,
    )


def size_of(path: Path) -> int:
    """Bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
