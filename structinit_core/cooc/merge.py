"""The exact sum of counts artifacts, table by table, within a memory bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from structinit_core.artifact import save_array
from structinit_core.cooc.counts import read_tokenizer_json
from structinit_core.cooc.facts import added
from structinit_core.cooc.heldout import write_held_out
from structinit_core.cooc.parts import Part
from structinit_core.cooc.sums import BYTES_PER_ENTRY, summed
from structinit_core.cooc.tables import open_tables
from structinit_core.errors import LimitError
from structinit_core.progress import Progress, Silent

_ENTRIES_AT_ONCE = 1 << 20
"""More are not summed faster."""
_ENTRIES_OF_A_PART = 1 << 13
"""With less of each of many parts at once, opening their files would take most of the time."""


def merge_parts(
    parts: Sequence[Part],
    directory: Path,
    *,
    memory_bytes: int,
    progress: Progress | None = None,
) -> None:
    """Write the sum of ``parts`` into ``directory``: the files of a count of all their text.

    Every file is byte for byte what one count of all the documents gives, whichever documents
    were counted in which part, and in whatever order and groups parts are merged. All parts
    are of one vocabulary and K.
    Cost: every table is read once and the sum written once, some 50 ns an entry. Memory:
    ``memory_bytes``, of which 128 MiB or 1 MiB a part are used, plus O(K·V) and 64 bytes a
    held-out document. Source: ours.

    Raises:
        IncompatibleError: a part whose tables do not fit each other.
        LimitError: less memory than one entry of each part takes.
    """
    progress = progress or Silent()
    budget = memory_bytes // BYTES_PER_ENTRY
    if budget < len(parts):
        raise LimitError(
            f"merging {len(parts)} counts needs at least {len(parts) * BYTES_PER_ENTRY} bytes",
            hint="raise --memory, or merge in groups",
        )
    budget = min(budget, max(_ENTRIES_AT_ONCE, _ENTRIES_OF_A_PART * len(parts)))
    facts = added([part.facts for part in parts])
    unigram = np.zeros(facts.vocabulary, np.int64)
    for part in parts:
        unigram += part.unigram()
    save_array(directory / "unigram.npy", unigram)
    sizes = facts.vocabulary, facts.offsets, facts.counted_tokens
    with open_tables(directory, *sizes) as tables:
        for offset in range(1, facts.offsets + 1):
            for keys, counts in summed([part.rows(offset) for part in parts], budget):
                tables.add_entries(offset, *np.divmod(keys, facts.vocabulary), counts)
            progress.advance()
        for keys, counts in summed([part.trigrams() for part in parts], budget):
            tables.add_trigrams(keys, counts)
        progress.advance()
    write_held_out([part.held_out() for part in parts], directory, memory_bytes)
    facts.write(directory)
    tokenizer = read_tokenizer_json(parts[0].directory)
    (directory / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
