"""Codes of new tokens from their links to earlier ones, without factorising again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.initializers.graph.codes import log_prior, log_ratio
from structinit_core.initializers.graph.parts import Kept
from structinit_core.initializers.graph.tables import Cells
from structinit_core.initializers.graph.tokens import GraphTokens

Way = Literal["svd", "neighbours"]
WAYS: tuple[Way, ...] = ("svd", "neighbours")
_ROUNDS = 2
"""The second one knows the codes that the first gave to new neighbours."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Codes:
    """Codes by token of a graph before it grew: ids (n,) to float64 (n, r); singular values (r,).

    left: of what comes before, U√Σ; right: of what follows, V√Σ, both up to one factor.
    """

    count: int
    left: Callable[[NDArray[np.int64]], Floats]
    right: Callable[[NDArray[np.int64]], Floats]
    values: Floats


def folded_in(
    cells: Cells, codes: Codes, tokens: GraphTokens, focus: Floats, way: Way = "svd"
) -> LogBilinear:
    """Codes of the tokens behind the first ``codes.count``, and their log-priors.

    ``svd``: a new row a of the log-ratios gives a·V·Σ⁻¹ in the place of u, a new column aᵀ·U·Σ⁻¹
    in that of v (Berry, Dumais & O'Brien 1995), exact for a row that was there before;
    ``neighbours``: the mean of their codes, each by its weight times its ``focus`` (P,),
    as seed 000 has it, but of the side that a link leads to: its own side is nearly orthogonal to
    the truth (note 6 of the seeds' origins, 10). Cost O(degree·r) a token, and a pass over
    ``cells`` for the marginals.
    """
    rows, columns, mass = cells
    vocabulary, count = tokens.vocabulary, codes.count
    new = vocabulary - count
    sums = _sums(rows, mass, vocabulary), _sums(columns, mass, vocabulary)
    bias = log_prior(sums[1])[count:]
    out, into = rows >= count, columns >= count
    after = sp.coo_array((mass[out], (rows[out] - count, columns[out])), (new, vocabulary)).tocsr()
    before = sp.coo_array((mass[into], (rows[into], columns[into] - count)), (vocabulary, new))
    if way == "neighbours":
        left = _averaged(after, codes.right, tokens, focus, count)
        right = _averaged(before.T.tocsr(), codes.left, tokens, focus, count)
        return LogBilinear(as_float(left), as_float(right), as_float(bias))
    after = log_ratio(after, (sums[0][count:], sums[1]))
    # the smoothed shares of columns are those of the whole table
    whole = sp.csr_array(
        (before.data, (before.coords[0], before.coords[1] + count)), (vocabulary,) * 2
    )
    before = sp.csr_array(log_ratio(whole, sums)[:, count:].T)
    left, right = np.zeros((2, new, len(codes.values)))
    for _ in range(_ROUNDS):
        left, right = (
            _projected(after, codes.right, right, count) / codes.values,
            _projected(before, codes.left, left, count) / codes.values,
        )
    return LogBilinear(as_float(left), as_float(right), as_float(bias))


def bounded(codes: LogBilinear, longest: float, kept: Kept) -> LogBilinear:
    """``codes`` as wide as the stream holds them, and no longer than those of earlier particles.

    Left ones are at most ``longest``, and what any map makes of one at most half of that, as
    every earlier one is: norms and units count on it. Right ones are at most ``kept.longest``.
    """
    missing = kept.maps.shape[1] - codes.left.shape[1]
    left, right = (
        torch.nn.functional.pad(side, (0, missing)) for side in (codes.left, codes.right)
    )
    length = left.norm(dim=1)
    for matrix in kept.maps:
        length = torch.maximum(length, 2 * (left @ as_float(matrix)).norm(dim=1))
    left = left * (longest / length.clamp(min=longest))[:, None]
    right = right * (kept.longest / right.norm(dim=1).clamp(min=kept.longest))[:, None]
    return LogBilinear(left, right, codes.bias)


def _sums(ends: NDArray[np.int64], mass: Floats, size: int) -> Floats:
    return np.bincount(ends, mass, size).astype(np.float64, copy=False)


def _projected(
    rows: sp.csr_array, of: Callable[[NDArray[np.int64]], Floats], new: Floats, count: int
) -> Floats:
    """The product of ``rows`` (n, V) with the codes of earlier tokens and ``new`` ones, (n, r)."""
    used = np.unique(rows.indices).astype(np.int64)
    earlier = used[used < count]
    known = np.concatenate((of(earlier), new[used[used >= count] - count]))
    places = np.searchsorted(used, rows.indices)
    small = sp.csr_array((rows.data, places, rows.indptr), shape=(rows.shape[0], len(used)))
    found: Floats = small @ known
    return found


def _averaged(
    rows: sp.csr_array,
    of: Callable[[NDArray[np.int64]], Floats],
    tokens: GraphTokens,
    focus: Floats,
    count: int,
) -> Floats:
    """Mean codes of the earlier particles in ``rows`` (n, V), where there are none of others."""
    entry = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    ids = rows.indices
    particle = (ids >= tokens.first_particle) & (ids < count)
    share = np.where(particle, rows.data * focus[np.maximum(ids - tokens.first_particle, 0)], 0.0)
    alone = np.bincount(entry, share, rows.shape[0])[entry] == 0
    share = np.where(alone & (ids > 0) & (ids < count), rows.data, share)
    weights = sp.csr_array((share, ids, rows.indptr), shape=rows.shape)
    total = np.maximum(weights.sum(axis=1), 1e-300)
    none = np.zeros((tokens.vocabulary - count, len(of(np.zeros(1, np.int64))[0])))
    mean: Floats = _projected(weights, of, none, count) / total[:, None]
    return mean
