"""The exact sum of counts artifacts, table by table, within a memory bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from structinit_core.artifact import save_array
from structinit_core.cooc.counts import read_tokenizer_json
from structinit_core.cooc.facts import added
from structinit_core.cooc.heldout import write_held_out
from structinit_core.cooc.parts import Part, open_rows, open_trigrams
from structinit_core.cooc.prune import PruningTables, pruned_tables
from structinit_core.cooc.sums import BYTES_PER_ENTRY, summed
from structinit_core.cooc.tables import Tables
from structinit_core.errors import LimitError
from structinit_core.progress import Progress, Silent

_ENTRIES_AT_ONCE = 1 << 20
"""More are not summed faster."""
_ENTRIES_OF_A_PART = 1 << 13
"""With less of each of many parts at once, opening their files would take most of the time."""


def refuse_many(parts: int, memory_bytes: int) -> None:
    """Refuse to add up more parts than the memory holds an entry of each of.

    Raises:
        LimitError: so it is.
    """
    if memory_bytes < parts * BYTES_PER_ENTRY:
        raise LimitError(
            f"merging {parts} counts needs at least {parts * BYTES_PER_ENTRY} bytes",
            hint="raise --memory, or merge in groups",
        )


def add_tables(
    parts: Sequence[tuple[Path, int]],
    tables: Tables | PruningTables,
    vocabulary: int,
    offsets: int,
    memory_bytes: int,
    progress: Progress,
) -> None:
    """Append the sum of the tables in some directories to empty ``tables``.

    ``parts`` are the directories, and how many tokens were counted in each. One step of
    progress a table; cost, memory and errors as of :func:`merge_parts`.
    """
    refuse_many(len(parts), memory_bytes)
    budget = max(_ENTRIES_AT_ONCE, _ENTRIES_OF_A_PART * len(parts))
    budget = min(budget, memory_bytes // BYTES_PER_ENTRY)
    for offset in range(1, offsets + 1):
        rows = [open_rows(part, offset, vocabulary, tokens) for part, tokens in parts]
        for keys, counts in summed(rows, budget):
            tables.add_entries(offset, *np.divmod(keys, vocabulary), counts)
        progress.advance()
    for keys, counts in summed([open_trigrams(*part) for part in parts], budget):
        tables.add_trigrams(keys, counts)
    progress.advance()


def merge_parts(
    parts: Sequence[Part],
    directory: Path,
    *,
    memory_bytes: int,
    min_count: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write the sum of ``parts`` into ``directory``: the files of a count of all their text.

    Every file is byte for byte what one count of all the documents gives, whichever documents
    were counted in which part, and in whatever order and groups parts are merged. All parts
    are of one vocabulary and K, and nothing was pruned from them. Of the sum entries below
    ``min_count`` are dropped, see :mod:`structinit_core.cooc.prune`.
    Cost: every table is read once and the sum written once, some 50 ns an entry. Memory:
    ``memory_bytes``, of which 128 MiB or 1 MiB a part are used, plus O(K·V) and 64 bytes a
    held-out document. Source: ours.

    Raises:
        IncompatibleError: a part whose tables do not fit each other.
        LimitError: less memory than one entry of each part takes.
    """
    progress = progress or Silent()
    refuse_many(len(parts), memory_bytes)
    facts = added([part.facts for part in parts])
    unigram = np.zeros(facts.vocabulary, np.int64)
    for part in parts:
        unigram += part.unigram()
    save_array(directory / "unigram.npy", unigram)
    counted = [(part.directory, part.facts.counted_tokens) for part in parts]
    sizes = facts.vocabulary, facts.offsets, facts.counted_tokens
    with pruned_tables(directory, *sizes, min_count) as tables:
        add_tables(counted, tables, *sizes[:2], memory_bytes, progress)
    write_held_out([part.held_out() for part in parts], directory, memory_bytes)
    facts.write(directory)
    tokenizer = read_tokenizer_json(parts[0].directory)
    (directory / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
