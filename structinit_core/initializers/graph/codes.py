"""Both factors of the shifted positive log-ratio of a table, with the log-prior as bias."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.initializers.graph.gain import fit_gain
from structinit_core.linalg import TruncatedSvd, generator, sparse_operator, truncated_svd

SMOOTHING = 0.75
"""Power of the context distribution (Levy, Goldberg & Dagan 2015, section 3.1)."""
SHIFT = 0.0
"""Nats taken off each log-ratio before it is cut at 0 (ibid., ln k for k negative samples)."""
_FLOOR = 1e-3
"""Of the mean mass of a token: what one has that never follows another."""

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
    allows it; columns beyond the rank of the table are 0. The common factor of the products is
    fitted on the table by Newton. Cost: truncated SVD of an (V, V) matrix of nnz entries.
    Source: ours; Levy & Goldberg 2014.
    """
    ratio = log_ratio(table)
    most = min(rank, table.shape[0] - 1)
    factor = truncated_svd(
        sparse_operator(ratio), most, generator(seed, "graph", "codes"), tolerance=1e-2, start=start
    )
    root = np.sqrt(factor.values.astype(np.float64))
    bias = log_prior(np.asarray(table.sum(axis=0), np.float64))
    missing = (0, 0), (0, rank - len(root))
    left, right = (
        as_float(np.pad(np.asarray(side * root), missing)) for side in (factor.left, factor.right)
    )
    codes = LogBilinear(left, right, as_float(bias))
    share = fit_gain(codes, table, seed) ** 0.5
    left *= share
    right *= share
    return codes, factor


def log_prior(mass: Floats) -> Floats:
    """Log-prior ln p_b of tokens that follow with this mass, (V,); none of them is impossible."""
    bias: Floats = np.log(mass + _FLOOR * mass.mean())
    bias -= np.log(np.exp(bias).sum())
    return bias
