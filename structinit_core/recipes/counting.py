"""``cooc``: from text to a published counts artifact."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from structinit_core.artifact import (
    is_up_to_date,
    locked,
    refuse_foreign,
    refuse_overlap,
    scratch,
    staged,
)
from structinit_core.cooc import (
    COUNTS_KIND,
    CountFacts,
    HeldOut,
    count_stream,
    write_held_out,
)
from structinit_core.corpus import (
    Tokenizer,
    TokenStream,
    hold_out,
    serialise,
    tokenize,
    vocabulary_size,
)
from structinit_core.errors import InputError
from structinit_core.progress import Progress, Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.record import Recorder
from structinit_core.recipes.tokenizing import keep_tokens, make_tokens

DEFAULT_MEMORY = 4 << 30
_DOCUMENTS_AT_ONCE = 64
"""Of other shards' documents, to see whether any is held out; mostly the first ones tell."""


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
