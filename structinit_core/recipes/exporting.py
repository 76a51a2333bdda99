"""``export``: a checkpoint, ours or anyone's, published in another form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from structinit_core.artifact import (
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    staged,
)
from structinit_core.checkpoint import (
    CHECKPOINT_KIND,
    CHECKPOINT_VERSION,
    DEFAULT_SHARD_BYTES,
    shard_files,
)
from structinit_core.export import (
    Source,
    carried_files,
    export_hugging_face,
    has_tokenizer,
    read_source,
)
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.record import Recorder


class ExportFormat(StrEnum):
    """What an export becomes."""

    HF = "hf"
    """A Hugging Face directory: safetensors, config, tokenizer."""


@dataclass(frozen=True)
class ExportJob:
    """One export: a Hugging Face directory, or a ``.safetensors`` file and its ``config``.

    ``dtype``: float32, float16 or bfloat16; ``None`` keeps the checkpoint's. ``shard_bytes``
    is of ``hf``.
    """

    path: Path
    format: ExportFormat
    config: Path | None = None
    dtype: str | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        return [self.path, *([self.config] if self.config else [])]

    def recipe(self, dtype: str) -> Recipe:
        """What decides the export's bytes."""
        config = self.config or self.path / "config.json"
        read = [config, *shard_files(self.path), *carried_files(self.path)]
        return Recipe(
            kind=CHECKPOINT_KIND,
            version=CHECKPOINT_VERSION,
            params={"method": "export", "dtype": dtype, "shard_bytes": self.shard_bytes},
            inputs=tuple(map(file_input, read)),
        )


def export_checkpoint(
    job: ExportJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish ``job``'s checkpoint in its new form; ``False`` if it was up to date already.

    ``output`` holds the weights with ``config.json``, the tokenizer files and generation config
    that stood beside the checkpoint, ``manifest.json`` and ``run.json``. Same job, same bytes
    of all but ``run.json``. Cost: the checkpoint is read twice (once for its hash) and written
    once. Memory: one tensor and the libraries.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    refuse_overlap(output, job.paths())
    source = read_source(job.path, job.config)
    dtype = source.target(job.dtype)
    with locked(output):
        record.stage("hashing inputs")
        recipe = job.recipe(dtype)
        refuse_foreign(output, recipe.kind, force)
        if is_up_to_date(output, recipe):
            return False
        if not has_tokenizer(job.path):
            record.warn("no tokenizer stands beside the weights, so the export has none")
        hashes: dict[Path, str] = {}
        with staged(output, recipe, hashes) as work:
            _write(job, source, dtype, work, record, hashes)
            record.write(work)
    return True


def _write(
    job: ExportJob,
    source: Source,
    dtype: str,
    work: Path,
    record: Recorder,
    hashes: dict[Path, str],
) -> None:
    export_hugging_face(source, work, dtype, record, shard_bytes=job.shard_bytes, hashes=hashes)
