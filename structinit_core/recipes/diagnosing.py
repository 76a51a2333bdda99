"""``diagnose``: what a checkpoint holds, how it differs, and what it scores before training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import open_tensors, shard_files
from structinit_core.cooc import Counts, KneserNey, open_counts, reference_losses
from structinit_core.corpus import (
    Border,
    TokenStream,
    cut_windows,
    load_tokenizer,
    read_documents,
    serialise,
    spread,
    tokenize,
)
from structinit_core.diagnose import (
    Check,
    Grid,
    Part,
    Report,
    Rule,
    Series,
    beside,
    difference_checks,
    judge,
    layout_of,
    loss_checks,
    static_findings,
    static_work,
)
from structinit_core.errors import IncompatibleError, InputError, LimitError, UsageError
from structinit_core.linalg import resolve_device
from structinit_core.model import forward_loss, load_model
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.verdict import pruning_note

DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True)
class DiagnoseJob:
    """A checkpoint directory or ``.safetensors`` file, and what to score it on.

    With ``texts`` the loss is on them, with ``counts`` alone on the counts' held-out slice;
    references need ``counts``. ``max_tokens`` bounds the scored text by evenly spread windows.
    ``against`` is a second checkpoint to compare with; ``rules`` are thresholds.
    """

    path: Path
    against: Path | None = None
    counts: Path | None = None
    texts: Sequence[Path] = ()
    border: Border = Border.BLANK
    text_field: str | None = None
    max_tokens: int = 1 << 20
    rules: Sequence[Rule] = ()
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY


def diagnose_checkpoint(job: DiagnoseJob, progress: Progress | None = None) -> Report:
    """The report on a checkpoint: static findings of every tensor, its step-0 loss, verdicts.

    A directory whose config is of a known family is looked at by role, anything else by name.
    Cost: one pass over the tensors and their spectra, twice with ``against``, plus a forward
    pass over the scored text. The working set of the static pass is refused, not bounded, by
    ``memory_bytes``, so that memory never changes a number.

    Raises:
        InputError: not a checkpoint, or unreadable text.
        UsageError: a bare file was to be scored.
        IncompatibleError: counts of another tokenizer, or weights the model does not fit.
        LimitError: more working memory than ``memory_bytes``.
    """
    progress = progress or Silent()
    scored = bool(job.texts) or job.counts is not None
    if scored and not job.path.is_dir():
        raise UsageError(
            "a loss needs a checkpoint directory with its config and tokenizer, not a file"
        )
    report = _static(job, job.path, progress)
    if job.against is not None:
        other = _static(job, job.against, progress)
        report = beside(_with(report, _differences(job.path, job.against, progress)), other)
    if scored and report.failed:
        notes = (*report.notes, "not scored: a tensor holds NaN or infinity")
        report = report.model_copy(update={"notes": notes})
    elif scored:
        losses, remarks = _losses(job, progress)
        report = _with(report, losses, remarks)
    return judge(report, job.rules)


def _static(job: DiagnoseJob, path: Path, progress: Progress) -> Report:
    weights = _weights(path)
    blueprint, notes = _blueprint(path)
    size = sum(file.stat().st_size for file in shard_files(weights))
    checks = [Check(name="file_bytes", value=size, unit="bytes")]
    series: list[Series] = []
    grids: list[Grid] = []
    parts: list[Part] = []
    unigram = open_counts(job.counts).unigram if job.counts else None
    with open_tensors(weights) as stored:
        device, _ = resolve_device(job.device, static_work(stored))
        for finding in static_findings(
            stored,
            blueprint,
            device=device,
            memory_bytes=job.memory_bytes,
            unigram=unigram,
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
    return Report(
        subject=path.name,
        checks=tuple(checks),
        notes=tuple(notes),
        parts=tuple(parts),
        series=tuple(series),
        grids=tuple(grids),
    )


def _differences(one: Path, other: Path, progress: Progress) -> list[Check]:
    progress.stage("comparing tensors")
    with open_tensors(_weights(one)) as here, open_tensors(_weights(other)) as there:
        layouts = [
            layout_of(stored, _blueprint(path)[0]) for stored, path in ((here, one), (there, other))
        ]
        return list(difference_checks(here, there, *layouts))


def _with(report: Report, checks: Iterable[Check], notes: Iterable[str] = ()) -> Report:
    """``report`` with more checks before its own, and more remarks."""
    return report.model_copy(
        update={"checks": (*checks, *report.checks), "notes": (*notes, *report.notes)}
    )


def _weights(path: Path) -> Path:
    """What to open: ``path``, or the one safetensors file of a directory that is no model."""
    if not path.exists():
        raise InputError("is not there", where=str(path))
    if path.is_dir() and not any(path.glob("model.safetensors*")):
        files = sorted(path.glob("*.safetensors"))
        if len(files) == 1:
            return files[0]
    return path


def _blueprint(path: Path) -> tuple[Blueprint | None, list[str]]:
    """The blueprint of a directory whose config is understood, else a remark saying why not."""
    if not (path / "config.json").is_file():
        return None, ["looked at by name: there is no config"]
    try:
        return make_blueprint(read_config(path / "config.json")), []
    except (InputError, IncompatibleError, LimitError) as error:
        return None, [f"looked at by name: {error}"]


def _losses(job: DiagnoseJob, progress: Progress) -> tuple[list[Check], list[str]]:
    blueprint = make_blueprint(read_config(job.path / "config.json"))
    counts = open_counts(job.counts) if job.counts else None
    if counts is not None:
        _same_tokenizer(job.path, counts)
    with tempfile.TemporaryDirectory(prefix="initctl-") as temporary:
        stream, spans, note = _text(job, counts, Path(temporary), progress)
        windows = spread(cut_windows(spans, blueprint.context), job.max_tokens)
        forward = _forward(job, blueprint, stream, windows, progress)
        references = reference_losses(KneserNey(counts), stream, windows) if counts else None
    checks = loss_checks(forward, blueprint.vocabulary, references)
    scored = int((windows[:, 1] - windows[:, 0] - 1).sum())
    notes = [note, *(pruning_note(counts) if counts else [])]
    return [*checks, Check(name="scored", value=scored, unit="tokens")], notes


def _text(
    job: DiagnoseJob, counts: Counts | None, temporary: Path, progress: Progress
) -> tuple[TokenStream, np.ndarray[tuple[int, int], np.dtype[np.int64]], str]:
    """Token stream and document spans to score, and a remark saying which text it is."""
    if not job.texts:
        assert counts is not None
        return counts.held_out, counts.held_out_spans, "scored on the counts' held-out slice"
    progress.stage("tokenizing")
    tokenizer = load_tokenizer(job.path / "tokenizer.json")
    documents = read_documents(job.texts, border=job.border, text_field=job.text_field)
    stream = tokenize(documents, tokenizer, temporary, progress)
    spans = np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
    names = ", ".join(path.name for path in job.texts)
    return stream, spans, f"scored on {names}"


def _forward(
    job: DiagnoseJob,
    blueprint: Blueprint,
    stream: TokenStream,
    windows: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    progress: Progress,
) -> float:
    work = blueprint.parameters * int((windows[:, 1] - windows[:, 0]).sum())
    device, _ = resolve_device(job.device, work)
    progress.stage("scoring the checkpoint", len(windows))
    return forward_loss(
        load_model(job.path, device), blueprint.vocabulary, stream, windows, progress
    )


def _same_tokenizer(path: Path, counts: Counts) -> None:
    ours = json.loads(serialise(load_tokenizer(path / "tokenizer.json")))
    if ours != json.loads(counts.tokenizer_json):
        raise IncompatibleError(
            "the counts were made with another tokenizer than the checkpoint's",
            hint="count again with initctl cooc --tokenizer CHECKPOINT/tokenizer.json",
        )
