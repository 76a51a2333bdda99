"""The counts artifact, opened: exact integers, memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.artifact import Manifest, load_array, load_csr, open_artifact
from structinit_core.cooc.facts import read_facts
from structinit_core.cooc.heldout import load_held_out
from structinit_core.cooc.prune import Pruned, read_dropped, read_pruned
from structinit_core.cooc.trigrams import key_bits
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError

COUNTS_KIND = "counts"
COUNTS_VERSION = 1


@dataclass(frozen=True)
class Counts:
    """Counts of the counting text, and the documents held out of it.

    unigram: int64 (V,). offsets: K CSR arrays (V, V) of uint32 or uint64, entry (a, b) of the
    k-th (from 0) being how often b stands k+1 tokens after a in one document. trigram_keys:
    ascending uint64 ``a << 2·bits | b << bits | c`` with their counts. held_out: the token
    stream of the documents that entered no count. pruned: what was dropped from the tables, if
    anything was; dropped: of offset 1 how many occurrences by row, int64 (V,).
    """

    vocabulary: int
    unigram: NDArray[np.int64]
    offsets: tuple[sp.csr_array, ...]
    trigram_keys: NDArray[np.uint64]
    trigram_counts: NDArray[Any]
    held_out: TokenStream
    pruned: Pruned | None
    dropped: NDArray[np.int64]
    tokenizer_json: str
    manifest: Manifest

    @property
    def bits(self) -> int:
        """Bits of one token in a trigram key."""
        return key_bits(self.vocabulary)

    @property
    def held_out_spans(self) -> NDArray[np.int64]:
        """The held-out documents as spans ``(start, stop)``, int64 (n, 2)."""
        return np.stack((self.held_out.offsets[:-1], self.held_out.offsets[1:]), axis=1)


def open_counts(directory: Path) -> Counts:
    """The counts artifact in ``directory``; arrays stay on disk until they are used.

    Raises:
        IncompatibleError: another artifact, a missing or resized file, or arrays that do not
            fit each other.
    """
    manifest = open_artifact(directory, COUNTS_KIND, COUNTS_VERSION)
    facts = read_facts(directory)
    vocabulary = facts.vocabulary
    tokenizer_json = read_tokenizer_json(directory)
    unigram = load_array(directory / "unigram.npy", ("int64",))
    keys = load_array(directory / "trigram.keys.npy", ("uint64",))
    key_counts = load_array(directory / "trigram.counts.npy", ("uint32", "uint64"))
    held = load_held_out(directory, vocabulary)
    pruned = read_pruned(directory)
    if (
        unigram.shape != (vocabulary,)
        or keys.shape != key_counts.shape
        or bool(np.any(keys[1:] <= keys[:-1]))
    ):
        raise IncompatibleError("holds arrays that do not fit each other", where=str(directory))
    return Counts(
        vocabulary=vocabulary,
        unigram=np.array(unigram),
        offsets=tuple(
            load_csr(directory, f"offset{k}", (vocabulary, vocabulary))
            for k in range(1, facts.offsets + 1)
        ),
        trigram_keys=keys,
        trigram_counts=key_counts,
        held_out=held,
        pruned=pruned,
        dropped=read_dropped(directory, vocabulary) if pruned else np.zeros_like(unigram),
        tokenizer_json=tokenizer_json,
        manifest=manifest,
    )


def read_tokenizer_json(directory: Path) -> str:
    """The text of ``tokenizer.json`` of the counts artifact in ``directory``.

    Raises:
        IncompatibleError: no such file, or not text.
    """
    try:
        return (directory / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise IncompatibleError("is not a counts artifact", where=str(directory)) from error
