"""``export``: a checkpoint, ours or anyone's, published in another form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

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
    DTYPES,
    shard_files,
)
from structinit_core.diagnose import Check, Report
from structinit_core.errors import UsageError
from structinit_core.export import (
    DEFAULT_OPSET,
    Source,
    carried_files,
    export_hugging_face,
    has_tokenizer,
    read_source,
    refuse_opset,
)
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.record import Recorder

ONNX_KIND = "onnx"
ONNX_VERSION = 1


class ExportFormat(StrEnum):
    """What an export becomes."""

    HF = "hf"
    """A Hugging Face directory: safetensors, config, tokenizer."""
    ONNX = "onnx"
    """A decoder that onnxruntime runs: graph, weights, config, tokenizer."""


@dataclass(frozen=True)
class ExportJob:
    """One export: a Hugging Face directory, or a ``.safetensors`` file and its ``config``.

    ``dtype``: float32, float16 or bfloat16; ``None`` keeps the checkpoint's. ``shard_bytes``
    is of ``hf``; of ``onnx`` are ``past`` (keys and values of earlier positions go in and
    out), the operator set and whether onnxruntime's logits are held against transformers'.
    """

    path: Path
    format: ExportFormat
    config: Path | None = None
    dtype: str | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES
    past: bool = True
    opset: int = DEFAULT_OPSET
    verify: bool = False

    def __post_init__(self) -> None:
        refuse_opset(self.opset)
        if self.verify and self.format is not ExportFormat.ONNX:
            raise UsageError("only an ONNX graph is verified", hint="leave --verify out")

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        return [self.path, *([self.config] if self.config else [])]

    def recipe(self, dtype: str) -> Recipe:
        """What decides the export's bytes."""
        config = self.config or self.path / "config.json"
        inputs = [config, *shard_files(self.path), *carried_files(self.path)]
        params: dict[str, object] = {"method": "export", "dtype": dtype}
        if self.format is ExportFormat.HF:
            kind, version = CHECKPOINT_KIND, CHECKPOINT_VERSION
            params |= {"shard_bytes": self.shard_bytes}
        else:
            kind, version = ONNX_KIND, ONNX_VERSION
            params |= {"past": self.past, "opset": self.opset, "verify": self.verify}
        return Recipe(
            kind=kind, version=version, params=params, inputs=tuple(map(file_input, inputs))
        )


class ExportPlan(BaseModel):
    """What an export will hold and take; memory is beyond the libraries' and ``verify``'s."""

    model_config = ConfigDict(frozen=True)
    family: str
    parameters: int
    dtype: str
    disk_bytes: int
    memory_bytes: int


def plan_export(job: ExportJob) -> ExportPlan:
    """The forecast of ``job`` from config and headers; writes nothing.

    Raises:
        as :func:`export_checkpoint`, where the checkpoint cannot be exported.
    """
    source = read_source(job.path, job.config)
    dtype = source.target(job.dtype)
    largest = max(spec.parameters for spec in source.specs)
    return ExportPlan(
        family=source.blueprint.family,
        parameters=source.blueprint.parameters,
        dtype=dtype,
        disk_bytes=source.blueprint.parameters * DTYPES[dtype].itemsize,
        memory_bytes=largest * DTYPES[source.dtype or "float32"].itemsize + (16 << 20),
    )


def export_checkpoint(
    job: ExportJob, output: Path, *, force: bool = False, progress: Progress | None = None
) -> bool:
    """Publish ``job``'s checkpoint in its new form; ``False`` if it was up to date already.

    ``output`` holds ``config.json``, the tokenizer and generation files that stood beside the
    checkpoint, ``manifest.json``, ``run.json``, and as ``hf`` the safetensors, as ``onnx``
    ``model.onnx``, above 1.5 GB of weights ``model.onnx_data``, and ``report.json``. Same job,
    same bytes of all but ``run.json``; measured differences, on one machine class. Cost: the
    checkpoint is read twice (once for its hash) and written once. Memory: one tensor and the
    libraries; with ``verify`` both models in float32.

    Raises:
        any :class:`~structinit_core.errors.StructinitError`; nothing is then published.
    """
    record = Recorder(progress or Silent())
    if job.verify:
        from structinit_core.export.verify import load_runtime

        load_runtime()
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
            if job.format is ExportFormat.HF:
                export_hugging_face(
                    source, work, dtype, record, shard_bytes=job.shard_bytes, hashes=hashes
                )
            else:
                _write_onnx(job, source, dtype, work, record, hashes)
            record.write(work)
    return True


def _write_onnx(
    job: ExportJob,
    source: Source,
    dtype: str,
    work: Path,
    record: Recorder,
    hashes: dict[Path, str],
) -> None:
    from structinit_core.export.onnx_export import export_onnx

    export_onnx(source, work, dtype, record, past=job.past, opset=job.opset, hashes=hashes)
    checks = [
        Check(name="parameters", value=source.blueprint.parameters),
        Check(name="dtype", value=dtype),
        Check(name="opset", value=job.opset),
    ]
    if job.verify:
        # transformers takes seconds to import: an export that is not verified does not pay them.
        from structinit_core.export.verify import verify_onnx

        checks += [
            Check(
                name=f"logits_off.{found.name}",
                value=found.value,
                threshold=found.allowed,
                verdict="ok",
            )
            for found in verify_onnx(source, work, dtype, record)
        ]
    report = Report(subject=job.path.name, checks=tuple(checks))
    report.write(work)
