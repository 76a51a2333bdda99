"""Documents to one memory-mapped stream of token ids, and the slice held out of it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from structinit_core.artifact import ArrayWriter, load_array, save_array
from structinit_core.corpus.encoding import encoded
from structinit_core.corpus.tokenizer import vocabulary_size
from structinit_core.errors import InputError
from structinit_core.progress import Progress, Silent

HOLDOUT_PIECE = 8192
"""Tokens: a longer document is held out in pieces of this length, so that a corpus of a few
long documents still gives a slice that is spread over all of it."""
_BATCH_CHARACTERS = 1 << 22


@dataclass(frozen=True)
class TokenStream:
    """Token ids of a corpus; document ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

    ``ids``: uint16 where the vocabulary fits, else uint32, memory-mapped. ``offsets``: int64.
    """

    ids: NDArray[Any]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Spans ``(start, stop)`` of a token stream, int64 of shape (n, 2): counted or held out."""

    counted: NDArray[np.int64]
    held_out: NDArray[np.int64]


def tokenize(
    documents: Iterable[str],
    tokenizer: Tokenizer,
    directory: Path,
    progress: Progress | None = None,
    *,
    may_be_empty: bool = False,
) -> TokenStream:
    """The token stream of ``documents``, written to ``directory`` and memory-mapped.

    Every document is framed by the tokenizer's begin and end tokens where it has them; where
    a document's text spells a special token, it is encoded as ordinary text.
    Cost: time linear in the text; a byte-level BPE with GPT-2's pattern costs about as much as
    reading, any other what the ``tokenizers`` library takes. Memory: four batches of documents
    and their ids, and the cache.

    Raises:
        InputError: text the tokenizer cannot encode; no document, or none with a token, unless
            the stream ``may_be_empty``.
    """
    width = np.uint16 if vocabulary_size(tokenizer) <= 1 << 16 else np.uint32
    lengths = array("q")
    batches = in_batches(documents, progress)
    with (
        ArrayWriter(directory / "tokens.npy", width) as writer,
        closing(encoded(batches, tokenizer)) as parts,
    ):
        for ids, counts in parts:
            writer.append(ids)
            lengths.frombytes(counts[counts > 0].tobytes())
    if not lengths and not may_be_empty:
        raise InputError("the corpus holds no text")
    save_array(directory / "offsets.npy", np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))
    return TokenStream(
        load_array(directory / "tokens.npy"), np.array(load_array(directory / "offsets.npy"))
    )


def hold_out(
    stream: TokenStream, fraction: float, seed: int, rest: Iterable[TokenStream] = ()
) -> Split:
    """The counted and the held-out spans of a stream, drawn by document.

    A document (a piece of :data:`HOLDOUT_PIECE` tokens of a long one) is held out when a
    hash of its own tokens and ``seed`` falls below ``fraction``: the draw does not depend on
    the order of documents or on sharding, and copies of a document stay together. Should a
    corpus of several pieces draw none (or all), the one with the smallest (largest) hash is
    held out (counted), and its copies with it. Where the stream is a shard, ``rest`` are the
    other documents of its corpus; they are read until a draw on either side of ``fraction``
    is seen, after 1 / ``fraction`` pieces or so. Spans of one document that stay together
    are one span. Memory: about 64 bytes a piece.
    """
    pieces, first = _pieces(stream.offsets)
    draws = _draws(stream, pieces, seed)
    chosen = draws < fraction
    if fraction > 0 and len(draws):
        lowest, highest = float(draws.min()), float(draws.max())
        others = iter(rest)
        while not lowest < fraction <= highest and (other := next(others, None)) is not None:
            drawn = _draws(other, _pieces(other.offsets)[0], seed)
            lowest = float(drawn.min(initial=lowest))
            highest = float(drawn.max(initial=highest))
        if fraction <= lowest < highest:
            chosen = draws == lowest
        elif lowest < highest < fraction:
            chosen = draws < highest
    return Split(_joined(pieces[~chosen], first[~chosen]), _joined(pieces[chosen], first[chosen]))


def _pieces(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``(start, stop)`` of every piece, int64 (n, 2), and whether it is its document's first."""
    count = -(-np.diff(offsets) // HOLDOUT_PIECE)
    document = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    starts = offsets[document] + HOLDOUT_PIECE * place
    stops = np.minimum(starts + HOLDOUT_PIECE, offsets[document + 1])
    return np.stack((starts, stops), axis=1), place == 0


def _joined(pieces: NDArray[np.int64], first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The pieces as spans, one span where pieces of one document follow each other."""
    begins = np.ones(len(pieces) + 1, np.bool_)
    begins[1:-1] = first[1:] | (pieces[1:, 0] != pieces[:-1, 1])
    return np.stack((pieces[begins[:-1], 0], pieces[begins[1:], 1]), axis=1)


def _draws(stream: TokenStream, pieces: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    return np.fromiter(
        (_draw(stream.ids[start:stop], seed) for start, stop in pieces), np.float64, len(pieces)
    )


def _draw(ids: NDArray[Any], seed: int) -> float:
    """A number in [0, 1) from the tokens' values (not their width) and the seed."""
    digest = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))
    digest.update(ids.astype("<u4").tobytes())
    return int.from_bytes(digest.digest(), "little") / 2**64


def in_batches(documents: Iterable[str], progress: Progress | None = None) -> Iterator[list[str]]:
    """The documents in lists of about four million characters, told to ``progress``."""
    progress = progress or Silent()
    batch: list[str] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document)
        if characters >= _BATCH_CHARACTERS:
            yield batch
            progress.advance(characters)
            batch, characters = [], 0
    if batch:
        yield batch
        progress.advance(characters)
