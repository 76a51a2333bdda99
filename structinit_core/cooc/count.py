"""Exact counts of a token stream, written in order of tokens within a memory bound."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import save_array
from structinit_core.cooc.facts import MAX_OFFSETS
from structinit_core.cooc.grouping import SCANS, Block, Reach, blocks, groups
from structinit_core.cooc.merge import add_tables, refuse_many
from structinit_core.cooc.prune import PruningTables, pruned_tables
from structinit_core.cooc.tables import Tables, count_dtype
from structinit_core.cooc.trigrams import key_bits
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError, LimitError
from structinit_core.progress import Progress, Silent


def count_stream(
    stream: TokenStream,
    spans: NDArray[np.int64],
    vocabulary: int,
    directory: Path,
    *,
    offsets: int,
    memory_bytes: int,
    min_count: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write unigram counts, one CSR per offset 1 … K and sorted trigrams of ``spans``.

    Files: ``unigram.npy`` int64 (V,); ``offset{k}.{indptr,indices,data}.npy``, entry (a, b)
    being how often b stands k tokens after a in one span; ``trigram.keys.npy`` (packed
    uint64, ascending) and ``trigram.counts.npy``. Counts are uint32, or uint64 from 2³²
    tokens; without a token inside the spans every table is empty. Entries that occur less
    than ``min_count`` times are dropped, and ``pruned.json`` says what was lost. Bytes depend
    on the tokens only, not on memory, threads or blocks.
    Cost: some 4 ns a token and offset, 20 ns a token for trigrams, a core. Memory:
    ``memory_bytes``, which holds a window of every position at once, plus O(K·V), plus O(V)
    per thread. With less, tokens are counted by ranges, in about eight scans of the stream;
    with less still, the stream is counted in blocks whose tables lie in ``directory`` until
    they are added up. Kernels use all of numba's threads: not to be called from two threads
    at once. Source: ours.

    Raises:
        LimitError: K outside 1 … 255, V > 2²¹ (packed keys), or so little memory that there
            would be more blocks than can be added up.
        IncompatibleError: a token ≥ V.
    """
    progress = progress or Silent()
    total = int((spans[:, 1] - spans[:, 0]).sum())
    reach = checked_reach(stream, total, vocabulary, 0, offsets)
    budget = max(1, memory_bytes // reach.bytes_per_window(1))
    refuse_many(total // (SCANS * budget), memory_bytes)
    unigram = np.zeros(vocabulary, np.int64)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        parts: list[tuple[Path, int]] = []
        for number, block in enumerate(blocks(stream.ids, spans, vocabulary, budget)):
            held = block.tokens.sum(axis=0)
            unigram += held
            parts.append((Path(name) / str(number), int(held.sum())))
            parts[-1][0].mkdir()
            least = min_count if held.sum() == total else 1
            with pruned_tables(parts[-1][0], vocabulary, offsets, total, least) as tables:
                _count_block(stream.ids, block, reach, budget, tables, progress)
        if len(parts) == 1:
            for path in parts[0][0].iterdir():
                path.rename(directory / path.name)
        else:
            progress.stage("adding up", offsets + 1)
            with pruned_tables(directory, vocabulary, offsets, total, min_count) as tables:
                add_tables(parts, tables, vocabulary, offsets, memory_bytes, progress)
    save_array(directory / "unigram.npy", unigram)


def checked_reach(
    stream: TokenStream, total: int, vocabulary: int, before: int, after: int
) -> Reach:
    """The windows in which ``total`` tokens of ``stream`` are counted.

    Raises:
        LimitError: more than 255 neighbours on a side, or none; V > 2²¹.
        IncompatibleError: a token ≥ V.
    """
    if not 1 <= after <= MAX_OFFSETS:
        raise LimitError(f"offsets must lie between 1 and {MAX_OFFSETS}, not {after}")
    key_bits(vocabulary)
    if len(stream.ids) and int(stream.ids.max()) >= vocabulary:
        raise IncompatibleError(
            f"token {int(stream.ids.max())} is not in a vocabulary of {vocabulary}"
        )
    return Reach(vocabulary, before, after, count_dtype(total))


def _count_block(
    ids: NDArray[Any],
    block: Block,
    reach: Reach,
    budget: int,
    tables: Tables | PruningTables,
    progress: Progress,
) -> None:
    once = np.ones(1, reach.counts)
    for group in groups(ids, block, reach, 1, budget):
        for offset in range(1, reach.after + 1):
            for low, lengths, columns, counts in group.rows(offset - 1, once):
                tables.add_rows(offset, low, lengths, columns, counts)
        for keys, counts in group.trigrams():
            tables.add_trigrams(keys, counts)
        progress.advance(int(group.starts[-1]))
