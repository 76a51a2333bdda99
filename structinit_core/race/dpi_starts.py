"""Starts of ``dpi-init`` as arms of a race, and the counts of a few lines for phase 0."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, TensorSpec
from structinit_core.checkpoint import write_checkpoint
from structinit_core.cooc import Counts, open_counts
from structinit_core.corpus import TokenStream
from structinit_core.initializers.baselines import baseline_stream
from structinit_core.initializers.dpi import (
    DpiSettings,
    LayerSequence,
    Lexical,
    Sources,
    choose,
    forecast,
    make_lexical,
)
from structinit_core.initializers.stream import stored
from structinit_core.linalg import resolve_device
from structinit_core.model import default_tensors
from structinit_core.progress import Progress
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.dpi import draw_samples


@dataclass(frozen=True)
class DpiStart:
    """Settings of an arm.

    ``lines``: phase 0 sees only so many lines of text that are not blank. ``body``: without,
    the layers are the family's own with residual outputs 0, around the same codes.
    """

    settings: DpiSettings
    lines: int | None = None
    body: bool = True


DPI = {
    **{f"dpi-{name}": DpiStart(choose(name)) for name in ("best", "v16.2", "v14.1", "pid8")},
    "dpi-v14.1-exact": DpiStart(choose("v14.1", lexical="exact")),
    "dpi-v14.1-whitened": DpiStart(choose("v14.1", whitening=True)),
    "dpi-v14.1-uncalibrated": DpiStart(choose("v14.1", calibration=False)),
    "dpi-v14.1-100-lines": DpiStart(choose("v14.1"), lines=100),
    "dpi-v14.1-10000-lines": DpiStart(choose("v14.1"), lines=10_000),
    "dpi-best-no-body": DpiStart(choose("best"), body=False),
    "dpi-best-signatures": DpiStart(choose("best", signatures=True)),
    "dpi-best-cosines": DpiStart(choose("best", dct=True)),
    "dpi-best-calibrated": DpiStart(choose("best", calibration=True)),
    "dpi-best-loud": DpiStart(choose("best", residual_gain=1.0)),
}
"""Methods by name: the variants, what seed 001 compares them with, and ``best`` with one part
taken out or put in."""


def write_dpi_start(
    start: DpiStart,
    blueprint: Blueprint,
    counts: Counts,
    stream: TokenStream,
    source: CountSource,
    seed: int,
    work: Path,
    *,
    device: str,
    memory_bytes: int,
    progress: Progress,
) -> None:
    """Write the tensors of ``start`` into ``work``, as ``dpi-init`` makes them.

    ``counts`` and ``stream`` are those of ``source``. Layers are measured on samples of all of
    it, whatever ``lines`` phase 0 sees. Deterministic for seed and text.

    Raises:
        IncompatibleError: no room for the codes. InputError: text without a pair of tokens.
    """
    expected = forecast(start.settings, blueprint)
    chosen, _ = resolve_device(device, expected.total)
    sample, clustered = draw_samples(stream, counts, blueprint, expected, seed)
    seen: AbstractContextManager[Counts] = nullcontext(counts)
    if start.lines is not None:
        seen = counts_of_lines(source, counts, start.lines, memory_bytes, progress)
    with seen as known:
        progress.stage("lexical seeding")
        lexical = make_lexical(start.settings, blueprint, known, seed, chosen)
    sequence = LayerSequence(
        start.settings,
        blueprint,
        lexical,
        dtype=torch.float32,
        seed=seed,
        device=chosen,
        progress=progress,
    )
    tensors = sequence.tensors()
    if start.body:
        sequence.begin(Sources(sample, clustered, []))
    else:
        tensors = _without_body(sequence, lexical, blueprint, seed)
    write_checkpoint(work, blueprint.tensors, tensors, progress)


def _without_body(
    sequence: LayerSequence, lexical: Lexical, blueprint: Blueprint, seed: int
) -> Iterator[tuple[TensorSpec, Tensor]]:
    own = default_tensors(blueprint.config, seed)
    for spec, tensor in baseline_stream("zero-out", blueprint, seed, default=own):
        at = [(role, spec.kind, spec.layer) for role in spec.roles]
        if spec.layer is None:
            yield spec, sequence.around(spec)
        elif all(part in lexical.lift for part in at):
            yield spec, stored(spec, [lexical.lift[part] for part in at])
        else:
            yield spec, tensor


@contextmanager
def counts_of_lines(
    source: CountSource, counts: Counts, lines: int, memory_bytes: int, progress: Progress
) -> Iterator[Counts]:
    """Counts of next tokens in the first ``lines`` lines of ``source``, for as long as entered.

    The tokenizer is that of ``counts``; lines that are blank do not count, documents stay apart.

    Raises:
        InputError: no pair of tokens to count.
    """
    with tempfile.TemporaryDirectory(prefix="initctl-") as temporary:
        directory = Path(temporary)
        text, tokenizer = directory / "lines.jsonl", directory / "tokenizer.json"
        with text.open("w", encoding="utf-8") as file:
            for document in first_lines(source.documents(), lines):
                file.write(json.dumps({"text": document}) + "\n")
        tokenizer.write_text(counts.tokenizer_json, encoding="utf-8")
        few = replace(
            source,
            texts=[text],
            tokenizer=tokenizer,
            train_vocabulary=None,
            offsets=1,
            holdout=0.0,
            text_field="text",
        )
        count_corpus(few, directory / "counts", memory_bytes=memory_bytes, progress=progress)
        yield open_counts(directory / "counts")


def first_lines(documents: Iterable[str], lines: int) -> Iterator[str]:
    """``documents`` up to the ``lines``-th line that is not blank, the last of them cut there."""
    left = lines
    for document in documents:
        kept = []
        for line in document.splitlines(keepends=True):
            if left == 0:
                break
            kept.append(line)
            left -= bool(line.strip())
        if kept:
            yield "".join(kept)
        if left == 0:
            return
