"""Walks along weighted links, and how often two particles come close together in them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

WINDOW = 5
"""Steps that two particles of a walk are apart at most, as published."""
_ENDED = -1

Walks = NDArray[np.int32]


def walks(links: sp.csr_array, count: int, steps: int, draw: np.random.Generator) -> Walks:
    """Walks that follow links by their weight: int32 (count, steps + 1), -1 after a dead end.

    Each begins at a particle with out-links, all alike. Time O(count·steps·log E).
    """
    out = np.flatnonzero(np.diff(links.indptr))
    found = np.full((count, steps + 1), _ENDED, np.int32)
    if not len(out):
        return found
    weight = np.asarray(links.sum(axis=1), np.float64)
    rows = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    # each row adds 1 to the sums, so one search serves all rows at once
    sums = np.cumsum(links.data / weight[rows])
    before = np.concatenate(([0.0], sums))
    found[:, 0] = draw.choice(out, count)
    for step in range(steps):
        at = found[:, step]
        going = np.flatnonzero((at != _ENDED) & (np.diff(links.indptr)[at] > 0))
        if not len(going):
            break
        low, high = links.indptr[at[going]], links.indptr[at[going] + 1]
        reached = before[low] + draw.random(len(going)) * (before[high] - before[low])
        chosen = np.clip(np.searchsorted(sums, reached, side="right"), low, high - 1)
        found[going, step + 1] = links.indices[chosen]
    return found


def close_pairs(found: Walks, size: int) -> sp.csr_array:
    """How often two places of a walk at most 5 steps apart hold i and j: CSR float64 (P, P).

    Symmetric: either may come first.
    """
    parts = []
    for apart in range(1, min(WINDOW, found.shape[1] - 1) + 1):
        first, second = found[:, :-apart].ravel(), found[:, apart:].ravel()
        there = second != _ENDED
        parts.append((first[there], second[there]))
    first = np.concatenate([a for a, _ in parts] or [np.empty(0, np.int32)])
    second = np.concatenate([b for _, b in parts] or [np.empty(0, np.int32)])
    counts = sp.coo_array((np.ones(len(first)), (first, second)), shape=(size, size)).tocsr()
    return sp.csr_array(counts + counts.T)
