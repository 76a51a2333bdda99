"""``cooc``: from text to a published counts artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from structinit_core.artifact import (
    Input,
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    pretty_json,
    refuse_foreign,
    refuse_overlap,
    save_array,
    scratch,
    staged,
)
from structinit_core.cooc import COUNTS_KIND, COUNTS_VERSION, count_stream
from structinit_core.corpus import (
    Border,
    Split,
    TokenStream,
    hold_out,
    read_documents,
    serialise,
    vocabulary_size,
)
from structinit_core.errors import UsageError
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import keep_tokens, make_tokens

DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True)
class CountSource:
    """The text to count and how: everything that decides the counts' bytes.

    Exactly one of ``tokenizer`` (a ``tokenizer.json``) and ``train_vocabulary`` is given.
    """

    texts: Sequence[Path]
    tokenizer: Path | None = None
    train_vocabulary: int | None = None
    offsets: int = 5
    holdout: float = 0.02
    border: Border = Border.BLANK
    text_field: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.texts:
            raise UsageError("no text was given")
        if (self.tokenizer is None) == (self.train_vocabulary is None):
            raise UsageError("give either a tokenizer or a vocabulary size to train one")
        if not 0 <= self.holdout < 1:
            raise UsageError(f"the held-out share must lie in [0, 1), not {self.holdout}")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"the seed must lie between 0 and 2**64 - 1, not {self.seed}")

    def inputs(self) -> tuple[Input, ...]:
        """Name and content hash of every file read."""
        return tuple(file_input(path) for path in self.paths())

    def paths(self) -> list[Path]:
        """Every file read."""
        return [*self.texts, *([self.tokenizer] if self.tokenizer else [])]

    def params(self) -> dict[str, Any]:
        """The parameters that decide the bytes, as JSON values."""
        return {
            "train_vocabulary": self.train_vocabulary,
            "offsets": self.offsets,
            "holdout": self.holdout,
            "border": self.border.value,
            "text_field": self.text_field,
            "seed": self.seed,
        }

    def documents(self) -> Iterator[str]:
        """The documents of all texts in order."""
        return read_documents(self.texts, border=self.border, text_field=self.text_field)


def count_corpus(
    source: CountSource,
    output: Path,
    *,
    tokens: Path | None = None,
    memory_bytes: int = DEFAULT_MEMORY,
    force: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Publish the counts of ``source`` at ``output``; ``False`` if it was up to date already.

    The artifact holds ``counts.json`` (sizes), ``tokenizer.json``, the arrays of
    :func:`structinit_core.cooc.count_stream`, and the held-out documents' tokens.
    Where ``tokens`` names a directory, the token ids are kept there as an artifact of their
    own, and taken from it instead of the text while text and tokenizer are the same.
    Cost: millions of tokens a second for a byte-level BPE with GPT-2's pattern, half a million
    a core for any other tokenizer, which then bounds the run; ``run.json`` says what did.
    ``memory_bytes`` bounds the counting. Same source, same bytes, whatever the memory.

    Raises:
        InputError: an unreadable text or tokenizer. LockedError: another run writes there.
        IncompatibleError: ``output`` is not ours. LimitError: memory or disk.
    """
    record = Recorder(progress or Silent())
    refuse_overlap(output, source.paths())
    if tokens is not None:
        refuse_overlap(tokens, [*source.paths(), output])
    with locked(output):
        refuse_foreign(output, COUNTS_KIND, force)
        record.stage("hashing inputs")
        recipe = Recipe(
            kind=COUNTS_KIND,
            version=COUNTS_VERSION,
            params=source.params(),
            inputs=source.inputs(),
        )
        if is_up_to_date(output, recipe):
            return False
        with staged(output, recipe) as work, scratch(output) as temporary:
            _count_into(source, work, temporary, tokens, memory_bytes, record)
            record.write(work)
    return True


def _count_into(
    source: CountSource,
    work: Path,
    temporary: Path,
    tokens: Path | None,
    memory_bytes: int,
    record: Recorder,
) -> None:
    tokenizer, stream = (
        make_tokens(source, temporary, record)
        if tokens is None
        else keep_tokens(source, tokens, record)
    )
    vocabulary = vocabulary_size(tokenizer)
    split = hold_out(stream, source.holdout, source.seed)
    counted = int((split.counted[:, 1] - split.counted[:, 0]).sum())
    record.stage("counting", counted)
    count_stream(
        stream,
        split.counted,
        vocabulary,
        work,
        offsets=source.offsets,
        memory_bytes=memory_bytes,
        progress=record,
    )
    record.worked_on(counted)
    held_out = _save_held_out(stream, split, work)
    (work / "tokenizer.json").write_text(serialise(tokenizer), encoding="utf-8")
    facts = {
        "vocabulary": vocabulary,
        "offsets": source.offsets,
        "documents": len(stream.offsets) - 1,
        "tokens": len(stream.ids),
        "counted_tokens": counted,
        "held_out_tokens": held_out,
        "held_out_spans": len(split.held_out),
    }
    (work / "counts.json").write_text(pretty_json(facts), encoding="utf-8")


def _save_held_out(stream: TokenStream, split: Split, work: Path) -> int:
    spans = split.held_out.tolist()
    parts = [stream.ids[start:stop] for start, stop in spans]
    ids = np.concatenate(parts) if parts else np.zeros(0, stream.ids.dtype)
    save_array(work / "heldout.tokens.npy", ids)
    lengths = [0, *(stop - start for start, stop in spans)]
    save_array(work / "heldout.offsets.npy", np.cumsum(lengths, dtype=np.int64))
    return len(ids)
