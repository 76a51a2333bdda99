"""Random signs that codes of a graph are made of; more rows begin with the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from structinit_core.linalg import generator

APART = 0.35
"""The largest cosine of two relations' identity codes."""
_DRAWS = 4096
_MIXED = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def random_signs(shape: tuple[int, int], seed: int, *names: str) -> NDArray[np.int8]:
    """Independent signs of ``shape``, int8; deterministic for the seed and ``names``."""
    signs = generator(seed, "graph", *names).integers(0, 2, shape, np.int8)
    signs *= 2
    signs -= 1
    return signs


def distinct_signs(count: int, size: int, seed: int) -> NDArray[np.int8]:
    """Signs (count, size), of which the first 2^(size − 1) rows differ in two places or more.

    The bits of a permutation of the rows' numbers, and their parity. More begin with the same.
    Source: the permutation as Steele, Lea & Flood 2014, within so many bits; the rest ours.
    """
    bits = min(size - 1, 63)
    mask, half = np.uint64((1 << bits) - 1), np.uint64(-(-bits // 2))
    start = generator(seed, "graph", "identity").integers(0, 1 << 63, 1, np.uint64)
    mixed = np.arange(count, dtype=np.uint64)
    for factor in _MIXED:
        mixed = ((mixed + start) * np.uint64(factor)) & mask
        mixed ^= mixed >> half
    signs = np.empty((count, size), np.int8)
    parity = np.zeros(count, np.int8)
    for place in range(size - 1):
        signs[:, place] = (mixed >> np.uint64(place % bits)).astype(np.int8) & 1
        parity ^= signs[:, place]
    signs[:, -1] = parity
    signs *= 2
    signs -= 1
    return signs


def codes_apart(count: int, size: int, seed: int) -> NDArray[np.int8]:
    """Random signs (count, size) of which no two have a cosine above 0.35 in modulus.

    Drawn one after the other, so that more begin with the same; where many draws find none the
    next may be a little closer to the others.
    """
    draw, bound = generator(seed, "graph", "relations"), APART
    codes = np.zeros((0, size), np.int8)
    while len(codes) < count:
        drawn = 2 * draw.integers(0, 2, (_DRAWS, size), np.int8) - 1
        cosines = np.abs(drawn.astype(np.int32) @ codes.T.astype(np.int32))
        (fit,) = np.nonzero(cosines.max(axis=1, initial=0) <= bound * size)
        bound = bound if len(fit) else bound + 0.05
        codes = np.concatenate((codes, drawn[fit[:1]]))
    return codes
