"""``diagnose``: what a checkpoint holds, and what it scores before any training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.checkpoint import read_tensors, shard_files
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
from structinit_core.diagnose import Check, Report, Series, loss_checks, tensor_findings
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.linalg import resolve_device
from structinit_core.model import forward_loss, load_model
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.verdict import pruning_note


@dataclass(frozen=True)
class DiagnoseJob:
    """A checkpoint directory or ``.safetensors`` file, and what to score it on.

    With ``texts`` the loss is on them, with ``counts`` alone on the counts' held-out slice;
    references need ``counts``. ``max_tokens`` bounds the scored text by evenly spread windows.
    """

    path: Path
    counts: Path | None = None
    texts: Sequence[Path] = ()
    border: Border = Border.BLANK
    text_field: str | None = None
    max_tokens: int = 1 << 20
    device: str = "cpu"


def diagnose_checkpoint(job: DiagnoseJob, progress: Progress | None = None) -> Report:
    """The report on a checkpoint: static checks of every tensor, then its step-0 loss.

    Cost: one pass over the tensors, plus a forward pass over the scored text.

    Raises:
        InputError: not a checkpoint, or unreadable text.
        UsageError: a bare file was to be scored.
        IncompatibleError: counts of another tokenizer, or weights the model does not fit.
    """
    progress = progress or Silent()
    scored = bool(job.texts) or job.counts is not None
    if scored and not job.path.is_dir():
        raise UsageError(
            "a loss needs a checkpoint directory with its config and tokenizer, not a file"
        )
    files = shard_files(job.path)
    progress.stage("reading tensors")
    checks = [Check(name="file_bytes", value=sum(f.stat().st_size for f in files), unit="bytes")]
    series: list[Series] = []
    for finding in tensor_findings(read_tensors(job.path), progress):
        if isinstance(finding, Series):
            series.append(finding)
        else:
            checks.append(finding)
    notes: list[str] = []
    if scored and any(check.verdict == "fail" for check in checks):
        notes.append("not scored: a tensor holds NaN or infinity")
    elif scored:
        losses, notes = _losses(job, progress)
        checks = losses + checks
    return Report(
        subject=job.path.name, checks=tuple(checks), notes=tuple(notes), series=tuple(series)
    )


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
