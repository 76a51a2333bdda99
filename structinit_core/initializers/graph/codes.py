"""Both factors of the shifted positive log-ratio of a table, with the log-prior as bias."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.linalg import TruncatedSvd, generator, sparse_operator, truncated_svd

SMOOTHING = 0.75
"""Power of the context distribution (Levy, Goldberg & Dagan 2015, section 3.1)."""
SHIFT = 0.0
"""Nats taken off each log-ratio before it is cut at 0 (ibid., ln k for k negative samples)."""
_FLOOR = 1e-3
"""Of the mean mass of a token: what one has that never follows another."""
_ROWS, _SAMPLED_ENTRIES = 512, 1 << 23
_NEWTON_STEPS = 6
_LARGEST_GAIN = 20.0

Floats = NDArray[np.float64]


def log_ratio(table: sp.csr_array, sums: tuple[Floats, Floats] | None = None) -> sp.csr_array:
    """max(0, ln(C_ab·ΣC / (c_a·c_b)) − shift) where C_ab > 0, c_b smoothed: CSR float32.

    ``sums``: of all rows and columns, where ``table`` does not hold every entry.
    """
    sums = (table.sum(axis=1), table.sum(axis=0)) if sums is None else sums
    rows = np.maximum(sums[0], 1e-300)
    columns = np.maximum(sums[1], 1e-300) ** SMOOTHING
    columns /= columns.sum()
    ratio = sp.csr_array(table, copy=True)
    into = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    ratio.data = np.log(ratio.data / (rows[into] * columns[ratio.indices])) - SHIFT
    ratio.data = np.maximum(ratio.data, 0.0).astype(np.float32)
    ratio.eliminate_zeros()
    return ratio


def factorised(
    table: sp.csr_array, rank: int, seed: int, start: TruncatedSvd | None = None
) -> tuple[LogBilinear, TruncatedSvd]:
    """Codes x_a·w_b + ln p_b of the table: left U√Σ, right V√Σ, and the triplets.

    Every token with a neighbour on either side has a row that is not zero where the rank
    allows it. The common factor of the products is fitted on the table by Newton. Cost:
    truncated SVD of an (V, V) matrix of nnz entries. Source: ours; Levy & Goldberg 2014.
    """
    ratio, wanted = log_ratio(table), rank
    rank = min(rank, table.shape[0] - 1)
    factor = truncated_svd(
        sparse_operator(ratio), rank, generator(seed, "graph", "codes"), tolerance=1e-2, start=start
    )
    root = np.sqrt(factor.values.astype(np.float64))
    bias = log_prior(np.asarray(table.sum(axis=0), np.float64))
    # A graph of few particles has a smaller rank than asked for.
    missing = (0, wanted - len(root))
    left, right = (
        as_float(np.pad(side * root, ((0, 0), missing))) for side in (factor.left, factor.right)
    )
    codes = LogBilinear(left, right, as_float(bias))
    share = fit_gain(codes, table, seed) ** 0.5
    return LogBilinear(share * left, share * right, codes.bias), factor


def log_prior(mass: Floats) -> Floats:
    """Log-prior ln p_b of tokens that follow with this mass, (V,); none of them is impossible."""
    bias: Floats = np.log(mass + _FLOOR * mass.mean())
    bias -= np.log(np.exp(bias).sum())
    return bias


def fit_gain(codes: LogBilinear, table: sp.csr_array, seed: int) -> float:
    """The factor on the products x_a·w_b that minimises the cross entropy of sampled rows.

    table: CSR (m, n) of what follows, for m rows of ``left`` and n of ``right``. Rows are drawn
    by their mass; Newton on one scalar.
    """
    mass = table.sum(axis=1)
    draw = generator(seed, "graph", "gain")
    wanted = min(_ROWS, max(1, _SAMPLED_ENTRIES // table.shape[1]), int((mass > 0).sum()))
    rows = np.sort(draw.choice(len(mass), wanted, replace=False, p=mass / mass.sum()))
    gain = 1.0
    part = max(1, (1 << 22) // table.shape[1])
    for _ in range(_NEWTON_STEPS):
        slope = curvature = 0.0
        for low in range(0, len(rows), part):
            some = rows[low : low + part]
            scores = codes.left[torch.from_numpy(some)] @ codes.right.T
            p = torch.softmax(gain * scores + codes.bias, dim=1)
            mean = (p * scores).sum(dim=1)
            weights = torch.from_numpy(_shares(table, some))
            slope += float((weights.sum(dim=1) * mean - (weights * scores).sum(dim=1)).sum())
            spread = (p * scores.square()).sum(dim=1) - mean.square()
            curvature += float((weights.sum(dim=1) * spread).sum())
        if curvature <= 0:
            break
        gain = min(max(gain - slope / curvature, 0.05), _LARGEST_GAIN)
    return gain


def _shares(table: sp.csr_array, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    dense = table[rows].toarray()
    shares: NDArray[np.float32] = (dense / dense.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
