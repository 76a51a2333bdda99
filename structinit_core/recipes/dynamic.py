"""A checkpoint run at step 0: the signal of a batch, its gradient, losses, induction."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint, read_config
from structinit_core.checkpoint import linked_directory
from structinit_core.cooc import Counts, KneserNey, open_counts, reference_losses
from structinit_core.corpus import (
    TokenStream,
    cut_windows,
    load_tokenizer,
    read_documents,
    scored_positions,
    serialise,
    spread,
    tokenize,
)
from structinit_core.diagnose import (
    Check,
    Grid,
    Series,
    bucket_checks,
    gradient_findings,
    induction_checks,
    loss_checks,
    signal_findings,
    signal_notes,
)
from structinit_core.errors import IncompatibleError
from structinit_core.linalg import Device, generator, resolve_device
from structinit_core.model import (
    bucket_losses,
    induction_losses,
    load_model,
    mean_loss,
    measure_signal,
    repeated_sequences,
    signal_rows,
    token_losses,
)
from structinit_core.progress import Progress
from structinit_core.recipes.diagnose_job import DiagnoseJob, weights_of
from structinit_core.recipes.verdict import pruning_note

_TOKENS, _LONGEST = 2048, 256
"""Of the batch that activations, attention and gradients are measured on, and of its rows."""
_REPEATED = 8

Integers = NDArray[np.int64]


@dataclass
class Findings:
    """What a run found, in the terms of a report."""

    checks: list[Check] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Check | Series | Grid) -> None:
        """Take one finding in."""
        match finding:
            case Check():
                self.checks.append(finding)
            case Series():
                self.series.append(finding)
            case Grid():
                self.grids.append(finding)


@dataclass(frozen=True)
class _Text:
    stream: TokenStream
    spans: Integers
    note: str


def dynamic_findings(
    job: DiagnoseJob, path: Path, blueprint: Blueprint, names: Mapping[str, str], progress: Progress
) -> Findings:
    """What the model in ``path`` does before training.

    On a batch of 2,048 tokens of the text, or drawn by seed as the counts' unigram says, or
    uniformly: activations, attention, logits, and the gradient of the loss. On the whole text:
    its loss beside references, and by how often a token was counted (in the text itself where
    there are no counts). On random tokens written twice: induction. ``names`` are the stored
    names of the blueprint's tensors. A model too large for ``memory_bytes`` is not run, or run
    without gradients; a note says so.

    Raises:
        InputError: unreadable text, or one without two tokens.
        IncompatibleError: counts of another tokenizer, or weights the model does not fit.
        NumericalError: the loss of the text is not finite, though that of the batch is.
    """
    found = Findings()
    length = min(blueprint.context, _LONGEST)
    rows = signal_rows(blueprint, length, job.memory_bytes, gradients=True)
    gradients = rows > 0
    rows = rows or signal_rows(blueprint, length, job.memory_bytes, gradients=False)
    memory = f"--memory {job.memory_bytes / 2**20:,.0f} MiB"
    if not rows:
        found.notes.append(f"not run: its weights in float32 do not fit into {memory}")
        return found
    if not gradients:
        found.notes.append(f"no gradients: weights and gradient do not fit into {memory}")
    counts = open_counts(job.counts) if job.counts else None
    config = job.config_of(path) or path / "config.json"
    tokenizer = config.with_name("tokenizer.json")
    if counts is not None:
        _same_tokenizer(tokenizer, counts)
    with tempfile.TemporaryDirectory(prefix="initctl-") as temporary:
        text = _text(job, tokenizer, counts, Path(temporary), progress)
        ids = _batch(job, blueprint, text, counts, length, found.notes)
        windows = spread(cut_windows(text.spans, blueprint.context), job.max_tokens) if text else ()
        tokens = ids.size + sum(int(stop - start) for start, stop in windows)
        device, _ = resolve_device(job.device, 3 * blueprint.parameters * tokens)
        model = _loaded(path, config, device)
        progress.stage("running the model", len(ids))
        signal = measure_signal(
            model, blueprint, ids, progress, rows=min(rows, len(ids)), gradients=gradients
        )
        batch = [*signal_findings(signal, blueprint)]
        found.notes += signal_notes(signal)
        if gradients:
            batch += gradient_findings(model, blueprint, names)
            model.zero_grad(set_to_none=True)
        if any(isinstance(one, Check) and one.verdict == "fail" for one in batch):
            found.notes.append("not scored: activations of the batch are not finite")
        else:
            if text is not None:
                _losses(blueprint, model, text, np.asarray(windows), counts, found, progress)
            _induction(job, blueprint, model, counts, found)
    for finding in batch:
        found.add(finding)
    return found


def _losses(
    blueprint: Blueprint,
    model: Any,
    text: _Text,
    windows: Integers,
    counts: Counts | None,
    found: Findings,
    progress: Progress,
) -> None:
    progress.stage("scoring the checkpoint", len(windows))
    losses = token_losses(model, blueprint.vocabulary, text.stream, windows, progress)
    references = reference_losses(KneserNey(counts), text.stream, windows) if counts else None
    found.checks += loss_checks(mean_loss(losses), blueprint.vocabulary, references)
    found.checks.append(Check(name="scored", value=len(losses), unit="tokens"))
    targets = text.stream.ids[scored_positions(windows)]
    seen = (
        np.bincount(targets, minlength=blueprint.vocabulary) if counts is None else counts.unigram
    )
    found.checks += bucket_checks(bucket_losses(losses, seen[targets]))
    found.notes = [text.note, *(pruning_note(counts) if counts else []), *found.notes]
    if counts is None:
        found.notes.append("loss by frequency: how often a token is in the scored text itself")


def _induction(
    job: DiagnoseJob, blueprint: Blueprint, model: Any, counts: Counts | None, found: Findings
) -> None:
    known = np.ones(blueprint.vocabulary, np.int64) if counts is None else counts.unigram
    repeated = repeated_sequences(known, blueprint.context, job.seed, sequences=_REPEATED)
    if repeated is not None:
        measured = induction_losses(model, blueprint.vocabulary, repeated)
        found.checks += induction_checks(measured)


def _text(
    job: DiagnoseJob, tokenizer: Path, counts: Counts | None, temporary: Path, progress: Progress
) -> _Text | None:
    """The tokens to score, or nothing."""
    if not job.texts:
        if counts is None or not len(counts.held_out_spans):
            return None
        note = "scored on the counts' held-out slice"
        return _Text(counts.held_out, counts.held_out_spans, note)
    progress.stage("tokenizing")
    documents = read_documents(job.texts, border=job.border, text_field=job.text_field)
    stream = tokenize(documents, load_tokenizer(tokenizer), temporary, progress)
    spans = np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
    return _Text(stream, spans, f"scored on {', '.join(one.name for one in job.texts)}")


def _batch(
    job: DiagnoseJob,
    blueprint: Blueprint,
    text: _Text | None,
    counts: Counts | None,
    length: int,
    notes: list[str],
) -> Integers:
    """Rows of tokens (n, T): the text's, one document after the other, or drawn ones."""
    if text is not None:
        windows = spread(cut_windows(text.spans, length), _TOKENS)
        pieces = [text.stream.ids[start:stop] for start, stop in windows]
        ids = np.concatenate([np.zeros(0, np.int64), *pieces])[:_TOKENS].astype(np.int64)
        length = min(length, len(ids))
        if length >= 2:
            return ids[: len(ids) // length * length].reshape(-1, length)
    draw = generator(job.seed, "tokens of a batch")
    shares = None if counts is None else counts.unigram / counts.unigram.sum()
    choices = blueprint.vocabulary if shares is None else len(shares)
    how = "uniformly" if shares is None else "as the counts' unigram says"
    notes.append(f"activations and gradients are of tokens drawn {how}")
    drawn = draw.choice(choices, (_TOKENS // length, length), p=shares)
    return drawn.astype(np.int64)


def _loaded(path: Path, config: Path, device: Device) -> Any:
    """The model, from its own directory or of a config that lies elsewhere."""
    if config.parent == path:
        return load_model(path, device)
    with linked_directory(weights_of(path), read_config(config)) as directory:
        return load_model(directory, device)


def _same_tokenizer(tokenizer: Path, counts: Counts) -> None:
    ours = json.loads(serialise(load_tokenizer(tokenizer)))
    if ours != json.loads(counts.tokenizer_json):
        raise IncompatibleError(
            "the counts were made with another tokenizer than the checkpoint's",
            hint="count again with initctl cooc --tokenizer CHECKPOINT/tokenizer.json",
        )
