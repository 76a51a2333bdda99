"""A counts artifact read in pieces, to be added to others: no table is held whole or kept open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.artifact import Manifest, load_array, open_artifact, text_digest
from structinit_core.cooc.counts import COUNTS_KIND, COUNTS_VERSION, read_tokenizer_json
from structinit_core.cooc.facts import CountFacts, read_facts
from structinit_core.cooc.heldout import HeldOut, load_held_out
from structinit_core.cooc.sums import Entries
from structinit_core.errors import IncompatibleError

_COUNTS = ("uint32", "uint64")
_INDICES = ("int32", "int64")


@dataclass(frozen=True)
class Rows:
    """A CSR (V, V) as entries keyed ``row·V + column``."""

    directory: Path
    name: str
    vocabulary: int
    length: int
    tokens: int

    def read(self, start: int, stop: int) -> Entries:
        """Keys and counts of some entries.

        Raises:
            IncompatibleError: columns outside the vocabulary, or counts that cannot be.
        """
        indptr = self._load("indptr", _INDICES)
        first, last = (int(np.searchsorted(indptr, at, "right")) - 1 for at in (start, stop - 1))
        inside = np.clip(indptr[first : last + 2], start, stop)
        rows = np.repeat(np.arange(first, last + 1), np.diff(inside))
        columns = self._load("indices", _INDICES)[start:stop].astype(np.int64)
        if int(columns.min()) < 0 or int(columns.max()) >= self.vocabulary:
            raise _not_a_table(self.directory, self.name)
        keys = (rows * self.vocabulary + columns).astype(np.uint64)
        counts = self._load("data", _COUNTS)[start:stop]
        return keys, _plausible(counts, self.tokens, self.directory, self.name)

    def _load(self, part: str, dtypes: tuple[str, ...]) -> NDArray[Any]:
        return load_array(self.directory / f"{self.name}.{part}.npy", dtypes)


@dataclass(frozen=True)
class Trigrams:
    """Trigrams under their packed keys."""

    directory: Path
    length: int
    tokens: int

    def read(self, start: int, stop: int) -> Entries:
        """Keys and counts of some trigrams.

        Raises:
            IncompatibleError: counts that cannot be.
        """
        keys = load_array(self.directory / "trigram.keys.npy", ("uint64",))
        counts = load_array(self.directory / "trigram.counts.npy", _COUNTS)
        return np.array(keys[start:stop]), _plausible(
            counts[start:stop], self.tokens, self.directory, "trigram"
        )


@dataclass(frozen=True)
class Part:
    """One counts artifact: small things in memory, tables by their entries.

    ``tokenizer_digest`` is the hash of ``tokenizer.json``, a text of megabytes.
    """

    directory: Path
    manifest: Manifest
    facts: CountFacts
    tokenizer_digest: str

    def unigram(self) -> NDArray[np.int64]:
        """How often each token was counted, int64 (V,).

        Raises:
            IncompatibleError: another length, or a sum other than the facts say.
        """
        unigram: NDArray[np.int64] = load_array(self.directory / "unigram.npy", ("int64",))
        if (
            unigram.shape != (self.facts.vocabulary,)
            or int(unigram.min()) < 0
            or int(unigram.sum()) != self.facts.counted_tokens
        ):
            raise _not_a_table(self.directory, "unigram")
        return unigram

    def rows(self, offset: int) -> Rows:
        """The table of one offset; errors as in :func:`open_rows`."""
        return open_rows(self.directory, offset, self.facts.vocabulary, self.facts.counted_tokens)

    def trigrams(self) -> Trigrams:
        """The table of trigrams; errors as in :func:`open_trigrams`."""
        return open_trigrams(self.directory, self.facts.counted_tokens)

    def held_out(self) -> HeldOut:
        """The held-out documents; errors as in :func:`load_held_out`."""
        offsets = load_held_out(self.directory, self.facts.vocabulary).offsets
        path = self.directory / "heldout.tokens.npy"
        return HeldOut(lambda: load_array(path), np.stack((offsets[:-1], offsets[1:]), axis=1))


def open_rows(directory: Path, offset: int, vocabulary: int, tokens: int) -> Rows:
    """The table of one offset of a directory of counts of at most ``tokens`` tokens.

    Raises:
        IncompatibleError: arrays that are no CSR (V, V).
    """
    name = f"offset{offset}"
    indptr = load_array(directory / f"{name}.indptr.npy", _INDICES)
    stored = len(load_array(directory / f"{name}.indices.npy", _INDICES))
    if (
        len(indptr) != vocabulary + 1
        or int(indptr[0]) != 0
        or int(indptr[-1]) != stored
        or stored != len(load_array(directory / f"{name}.data.npy", _COUNTS))
        or bool(np.any(indptr[1:] < indptr[:-1]))
    ):
        raise _not_a_table(directory, name)
    return Rows(directory, name, vocabulary, stored, tokens)


def open_trigrams(directory: Path, tokens: int) -> Trigrams:
    """The table of trigrams of a directory of counts of at most ``tokens`` tokens.

    Raises:
        IncompatibleError: more keys than counts, or fewer.
    """
    stored = len(load_array(directory / "trigram.keys.npy", ("uint64",)))
    if stored != len(load_array(directory / "trigram.counts.npy", _COUNTS)):
        raise _not_a_table(directory, "trigram")
    return Trigrams(directory, stored, tokens)


def open_part(directory: Path) -> Part:
    """The counts artifact in ``directory``; its tables are checked as they are read.

    Raises:
        IncompatibleError: another artifact, or a missing or resized file.
    """
    manifest = open_artifact(directory, COUNTS_KIND, COUNTS_VERSION)
    tokenizer = text_digest(read_tokenizer_json(directory))
    return Part(directory, manifest, read_facts(directory), tokenizer)


def _plausible(counts: NDArray[Any], tokens: int, directory: Path, name: str) -> NDArray[np.uint64]:
    """The counts as uint64; none is above the tokens counted, on which their width rests."""
    if int(counts.min()) == 0 or int(counts.max()) > tokens:
        raise _not_a_table(directory, name)
    return counts.astype(np.uint64)


def _not_a_table(directory: Path, name: str) -> IncompatibleError:
    return IncompatibleError("does not hold counts", where=str(directory / name))
