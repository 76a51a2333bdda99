"""Counting kernels (numba) for one frequent token: sums over the vocabulary, no positions."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follower_sums(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    token: int,
    first: int,
    last: int,
    vocabulary: int,
) -> NDArray[Any]:
    """How often each token stands ``first … last-1`` tokens after ``token`` in one span.

    int64 (last-first, V), a row an offset.
    """
    sums = np.zeros((last - first, vocabulary), np.int64)
    for span in range(spans.shape[0]):
        stop = spans[span, 1]
        for position in range(spans[span, 0], stop):
            if ids[position] == token:
                for offset in range(first, min(last, stop - position)):
                    sums[offset - first, ids[position + offset]] += 1
    return sums


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def middle_sums(
    ids: NDArray[Any], spans: NDArray[np.int64], token: int, vocabulary: int
) -> NDArray[Any]:
    """How often each token is the second of a trigram that ``token`` begins: int64 (V,)."""
    sums = np.zeros(vocabulary, np.int64)
    for span in range(spans.shape[0]):
        for position in range(spans[span, 0], spans[span, 1] - 2):
            if ids[position] == token:
                sums[ids[position + 1]] += 1
    return sums


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def last_sums(
    ids: NDArray[Any], spans: NDArray[np.int64], token: int, middle: int, vocabulary: int
) -> NDArray[Any]:
    """How often each token is the third of a trigram ``token middle ·``: int64 (V,)."""
    sums = np.zeros(vocabulary, np.int64)
    for span in range(spans.shape[0]):
        for position in range(spans[span, 0], spans[span, 1] - 2):
            if ids[position] == token and ids[position + 1] == middle:
                sums[ids[position + 2]] += 1
    return sums


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def middle_keys(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    token: int,
    low: int,
    high: int,
    size: int,
    bits: int,
) -> NDArray[Any]:
    """Packed keys of the ``size`` trigrams of ``token`` whose second is in ``low … high-1``.

    uint64 (size,), as :func:`structinit_core.cooc.kernels.trigram_keys` packs them, in stream
    order.
    """
    keys = np.empty(size, np.uint64)
    kept = 0
    shift = np.uint64(bits)
    for span in range(spans.shape[0]):
        for position in range(spans[span, 0], spans[span, 1] - 2):
            if ids[position] == token and low <= ids[position + 1] < high:
                key = np.uint64(token)
                key = (key << shift) | np.uint64(ids[position + 1])
                keys[kept] = (key << shift) | np.uint64(ids[position + 2])
                kept += 1
    return keys
