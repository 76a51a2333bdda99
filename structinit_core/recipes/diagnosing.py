"""``diagnose``: what a checkpoint holds, how it differs, and what it does before training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import open_tensors, shard_files
from structinit_core.cooc import open_counts
from structinit_core.diagnose import (
    Check,
    Grid,
    Part,
    Report,
    Series,
    beside,
    difference_checks,
    judge,
    kernel_findings,
    layout_of,
    static_findings,
    static_notes,
    static_work,
)
from structinit_core.errors import (
    IncompatibleError,
    InputError,
    LimitError,
    NumericalError,
    StructinitError,
    UsageError,
)
from structinit_core.linalg import resolve_device
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.diagnose_job import DiagnoseJob, weights_of
from structinit_core.recipes.dynamic import dynamic_findings


def diagnose_checkpoint(job: DiagnoseJob, progress: Progress | None = None) -> Report:
    """The report on a checkpoint: static findings of every tensor, the model at step 0, verdicts.

    A directory whose config is of a known family is looked at by role and run, anything else
    is looked at by name. Cost: one pass over the tensors and their spectra, a forward and
    backward pass over one batch, and a forward pass over the scored text; all twice with
    ``against``. The working set of the static pass is refused, not bounded, by
    ``memory_bytes``, so that memory never changes a number there; a model too large for it is
    not run, and a note says so.

    Raises:
        InputError: not a checkpoint, or unreadable text.
        UsageError: a bare file was to be scored, or a text without running the model.
        IncompatibleError: counts of another tokenizer, weights the model does not fit, or a
            ``config`` of no known family.
        LimitError: more working memory than ``memory_bytes``.
    """
    progress = progress or Silent()
    if job.texts and not job.dynamic:
        raise UsageError("a text is scored by running the model, which is not wanted")
    if job.dynamic and job.scored and not job.path.is_dir() and job.config is None:
        raise UsageError(
            "a loss needs the model's config and tokenizer, not only a file of weights",
            hint="give the directory, or --config CONFIG with a tokenizer.json beside it",
        )
    if job.config is not None:
        make_blueprint(read_config(job.config))
    report = _run(job, job.path, _static(job, job.path, progress), progress)
    if job.against is not None:
        other = _run(job, job.against, _static(job, job.against, progress), progress)
        report = beside(_with(report, _differences(job, job.against, progress)), other)
    return judge(report, job.rules)


def _run(job: DiagnoseJob, path: Path, report: Report, progress: Progress) -> Report:
    """``report`` with what the model does, where it can be run.

    A checkpoint that was neither to be scored nor given a config, or is only compared with, may
    be incomplete.
    """
    asked = path == job.path and (job.scored or job.config is not None)
    config = job.config_of(path)
    if not job.dynamic or not (asked or config):
        return report
    if report.failed:
        return _noted(report, "not run: a tensor holds NaN or infinity")
    try:
        blueprint = make_blueprint(read_config(config or path / "config.json"))
    except StructinitError:
        if asked:
            raise
        return report
    with open_tensors(weights_of(path)) as stored:
        specs = layout_of(stored, blueprint).specs
    names = {spec.name: name for name, spec in specs.items() if spec is not None}
    try:
        found = dynamic_findings(job, path, blueprint, names, progress)
    except (InputError, IncompatibleError, NumericalError) as error:
        if asked:
            raise
        return _noted(report, f"not run: {error}")
    return _noted(_with(report, found.checks), *found.notes).model_copy(
        update={
            "series": (*report.series, *found.series),
            "grids": (*report.grids, *found.grids),
        }
    )


def _noted(report: Report, *notes: str) -> Report:
    return report.model_copy(update={"notes": (*report.notes, *notes)})


def _static(job: DiagnoseJob, path: Path, progress: Progress) -> Report:
    weights = weights_of(path)
    blueprint, notes = _blueprint(job.config_of(path))
    size = sum(file.stat().st_size for file in shard_files(weights))
    checks = [Check(name="file_bytes", value=size, unit="bytes")]
    series: list[Series] = []
    grids: list[Grid] = []
    parts: list[Part] = []
    counts = open_counts(job.counts) if job.counts else None
    with open_tensors(weights) as stored:
        device, _ = resolve_device(job.device, static_work(stored))
        for finding in static_findings(
            stored,
            blueprint,
            device=device,
            memory_bytes=job.memory_bytes,
            unigram=counts.unigram if counts else None,
            progress=progress,
        ):
            match finding:
                case Check():
                    checks.append(finding)
                case Series():
                    series.append(finding)
                case Grid():
                    grids.append(finding)
                case Part():
                    parts.append(finding)
        if counts is not None:
            progress.stage("k0 of the counts")
            of_k0, remarks = kernel_findings(
                stored,
                layout_of(stored, blueprint),
                counts,
                seed=job.seed,
                device=device,
                memory_bytes=job.memory_bytes,
            )
            checks += of_k0
            notes += remarks
    return Report(
        subject=path.name,
        checks=tuple(checks),
        notes=tuple(notes),
        parts=tuple(parts),
        series=tuple(series),
        grids=tuple(grids),
    )


def _differences(job: DiagnoseJob, other: Path, progress: Progress) -> list[Check]:
    progress.stage("comparing tensors")
    with open_tensors(weights_of(job.path)) as here, open_tensors(weights_of(other)) as there:
        layouts = [
            layout_of(stored, _blueprint(job.config_of(path))[0])
            for stored, path in ((here, job.path), (there, other))
        ]
        return list(difference_checks(here, there, *layouts))


def _with(report: Report, checks: Iterable[Check]) -> Report:
    """``report`` with more checks before its own."""
    return report.model_copy(update={"checks": (*checks, *report.checks)})


def _blueprint(config: Path | None) -> tuple[Blueprint | None, list[str]]:
    """The blueprint of a config that is understood, and remarks, as why it is not."""
    if config is None:
        return None, ["looked at by name: there is no config"]
    try:
        blueprint = make_blueprint(read_config(config))
    except (InputError, IncompatibleError, LimitError) as error:
        return None, [f"looked at by name: {error}"]
    return blueprint, static_notes(blueprint)
