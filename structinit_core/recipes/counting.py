"""``cooc``: from text to a published counts artifact."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from structinit_core.artifact import (
    Input,
    Recipe,
    file_input,
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.cooc import (
    COUNTS_KIND,
    COUNTS_VERSION,
    CountFacts,
    HeldOut,
    count_stream,
    write_held_out,
)
from structinit_core.corpus import (
    Border,
    Tokenizer,
    TokenStream,
    hold_out,
    read_documents,
    serialise,
    shard_of,
    tokenize,
    vocabulary_size,
)
from structinit_core.errors import InputError, UsageError
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import keep_tokens, make_tokens

DEFAULT_MEMORY = 4 << 30
_DOCUMENTS_AT_ONCE = 64
"""Of other shards' documents, to see whether any is held out; mostly the first ones tell."""


@dataclass(frozen=True)
class CountSource:
    """The text to count and how: everything that decides the counts' bytes.

    Exactly one of ``tokenizer`` (a ``tokenizer.json``) and ``train_vocabulary`` is given.
    Pairs and trigrams that occur less than ``min_count`` times are left out. With
    ``shard``, ``(i, n)`` with i from 0, only the documents of that share are counted; all n
    shares are together the whole text, see :func:`structinit_core.merge_counts`.
    """

    texts: Sequence[Path]
    tokenizer: Path | None = None
    train_vocabulary: int | None = None
    offsets: int = 5
    holdout: float = 0.02
    border: Border = Border.BLANK
    text_field: str | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        if not self.texts:
            raise UsageError("no text was given")
        if (self.tokenizer is None) == (self.train_vocabulary is None):
            raise UsageError("give either a tokenizer or a vocabulary size to train one")
        if not 0 <= self.holdout < 1:
            raise UsageError(f"the held-out share must lie in [0, 1), not {self.holdout}")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"the seed must lie between 0 and 2**64 - 1, not {self.seed}")
        if self.min_count < 1:
            raise UsageError(f"the least count must be 1 or more, not {self.min_count}")
        if self.shard is not None and self.min_count > 1:
            raise UsageError(
                "a share is counted in full, for what is rare in it may be frequent in the text",
                hint="give --min-count to the merge",
            )
        if self.shard is not None:
            _check_shard(*self.shard, trained=self.tokenizer is None)

    def inputs(self) -> tuple[Input, ...]:
        """Name and content hash of every file read."""
        return tuple(file_input(path) for path in self.paths())

    def paths(self) -> list[Path]:
        """Every file read."""
        return [*self.texts, *([self.tokenizer] if self.tokenizer else [])]

    def params(self) -> dict[str, Any]:
        """The parameters that decide the bytes, as JSON values."""
        params: dict[str, Any] = {
            "train_vocabulary": self.train_vocabulary,
            "offsets": self.offsets,
            "holdout": self.holdout,
            "border": self.border.value,
            "text_field": self.text_field,
            "seed": self.seed,
        }
        if self.min_count > 1:
            params["min_count"] = self.min_count
        return params if self.shard is None else params | {"shard": "{}/{}".format(*self.shard)}

    def recipe(self, inputs: tuple[Input, ...] | None = None) -> Recipe:
        """What decides the counts' bytes; every file is hashed, unless ``inputs`` are known."""
        return Recipe(
            kind=COUNTS_KIND,
            version=COUNTS_VERSION,
            params=self.params(),
            inputs=self.inputs() if inputs is None else inputs,
        )

    def documents(self) -> Iterator[str]:
        """The documents of all texts in order; of a shard, its own."""
        return self._documents() if self.shard is None else self._share(own=True)

    def other_documents(self) -> Iterator[str]:
        """The documents of all other shards in order."""
        return iter(()) if self.shard is None else self._share(own=False)

    def is_blank(self) -> bool:
        """Whether the texts hold no document at all, in any shard."""
        return next(self._documents(), None) is None

    def _documents(self) -> Iterator[str]:
        return read_documents(self.texts, border=self.border, text_field=self.text_field)

    def _share(self, own: bool) -> Iterator[str]:
        index, shards = self.shard or (0, 1)
        return (text for text in self._documents() if (shard_of(text, shards) == index) == own)


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
    ``memory_bytes`` bounds the counting. Same source, same bytes, whatever the memory. A
    shard reads all texts and tokenizes its own documents, and is published even without one.

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
        recipe = source.recipe()
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
    is_shard = source.shard is not None
    if len(stream.ids) == 0 and source.is_blank():
        raise InputError("the corpus holds no text")
    rest = _rest(source, tokenizer, temporary)
    split = hold_out(stream, source.holdout, source.seed, rest)
    counted = int((split.counted[:, 1] - split.counted[:, 0]).sum())
    if not is_shard:
        refuse_uncounted(counted)
    record.stage("counting", counted)
    record.worked_on(counted)
    count_stream(
        stream,
        split.counted,
        vocabulary,
        work,
        offsets=source.offsets,
        memory_bytes=memory_bytes,
        min_count=source.min_count,
        progress=record,
    )
    write_held_out([HeldOut(lambda: stream.ids, split.held_out)], work, memory_bytes)
    (work / "tokenizer.json").write_text(serialise(tokenizer), encoding="utf-8")
    CountFacts(
        vocabulary=vocabulary,
        offsets=source.offsets,
        documents=len(stream.offsets) - 1,
        tokens=len(stream.ids),
        counted_tokens=counted,
        held_out_tokens=len(stream.ids) - counted,
        held_out_spans=len(split.held_out),
    ).write(work)


def refuse_uncounted(counted: int) -> None:
    """Refuse counts of a whole text of which every token is held out.

    Raises:
        InputError: ``counted`` is 0.
    """
    if counted == 0:
        raise InputError("no token is left to count", hint="give more text, or hold out less")


def _rest(source: CountSource, tokenizer: Tokenizer, temporary: Path) -> Iterator[TokenStream]:
    """The documents of the other shards as streams, a few at a time."""
    documents = source.other_documents()
    while batch := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        with tempfile.TemporaryDirectory(dir=temporary) as directory:
            yield tokenize(batch, tokenizer, Path(directory), may_be_empty=True)


def _check_shard(index: int, shards: int, *, trained: bool) -> None:
    if not 0 <= index < shards:
        raise UsageError(
            f"shard {index}/{shards} does not exist",
            hint="shards are I/N with I from 0 to N - 1",
        )
    if trained:
        raise UsageError(
            "shards must share one tokenizer, and each would train its own",
            hint="train one first, by counting a sample, and give it with --tokenizer",
        )
