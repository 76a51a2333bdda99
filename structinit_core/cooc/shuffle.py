"""Counts with shuffled token identities: the control that keeps all but the information."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.cooc.counts import Counts
from structinit_core.corpus import TokenStream


def shuffled(counts: Counts, seed: int) -> Counts:
    """The same counts with token identities permuted: token ``a`` becomes ``π(a)`` throughout.

    What is compiled from them has the spectrum, the scale and the structure of the real
    thing and tells a network nothing about its text: what such a start still gains over a
    random one comes from scale and structure, the rest from information. The held-out text
    is permuted too, so a compilation judges and accepts its stages as in the original. The
    frame token is permuted like any other; tokenizer and manifest stay. Dtypes stay, rows
    and keys ascend. Deterministic for a seed. Memory: about 40 bytes a bigram or trigram.
    """
    place = _identities(counts.vocabulary, seed)
    unigram = np.empty_like(counts.unigram)
    unigram[place] = counts.unigram
    dropped = np.empty_like(counts.dropped)
    dropped[place] = counts.dropped
    keys, order = _keys(counts, place)
    held = counts.held_out
    return dataclasses.replace(
        counts,
        unigram=unigram,
        dropped=dropped,
        offsets=tuple(_matrix(offset, place) for offset in counts.offsets),
        trigram_keys=keys,
        trigram_counts=counts.trigram_counts[order],
        held_out=TokenStream(_moved(held.ids, place), held.offsets),
    )


def shuffled_tokens(ids: NDArray[Any], vocabulary: int, seed: int) -> NDArray[Any]:
    """The same text with the token identities of :func:`shuffled`; the dtype stays."""
    return _moved(ids, _identities(vocabulary, seed))


def _identities(vocabulary: int, seed: int) -> NDArray[np.int64]:
    """π: the token that each token becomes, int64 (V,)."""
    # The room brings torch, which counting alone does not wait for.
    from structinit_core.linalg import generator

    return generator(seed, "shuffled identities").permutation(vocabulary)


def _moved(ids: NDArray[Any], place: NDArray[np.int64]) -> NDArray[Any]:
    moved: NDArray[Any] = place.astype(ids.dtype)[ids]
    return moved


def _matrix(matrix: sp.csr_array, place: NDArray[np.int64]) -> sp.csr_array:
    """Entry (a, b) moved to (π(a), π(b)): CSR with ascending columns and the same dtypes."""
    lengths = np.diff(matrix.indptr)
    rows, columns = np.repeat(place, lengths), place[matrix.indices]
    order = np.lexsort((columns, rows))
    moved = np.empty_like(lengths)
    moved[place] = lengths
    indptr = np.concatenate(([0], np.cumsum(moved))).astype(matrix.indptr.dtype)
    indices = columns[order].astype(matrix.indices.dtype)
    return sp.csr_array((matrix.data[order], indices, indptr), shape=matrix.shape, copy=False)


def _keys(counts: Counts, place: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """The trigram keys of the permuted tokens, ascending, and the order that sorts them."""
    bits = np.uint64(counts.bits)
    mask = np.uint64((1 << counts.bits) - 1)
    moved = np.zeros(len(counts.trigram_keys), np.uint64)
    for shift in (np.uint64(2) * bits, bits, np.uint64(0)):
        token = (counts.trigram_keys >> shift) & mask
        moved |= place.astype(np.uint64)[token] << shift
    order = np.argsort(moved)
    return moved[order], order
