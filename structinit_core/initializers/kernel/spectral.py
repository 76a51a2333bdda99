"""Embeddings E = Q₊·λ₊^p of the log-counts, matrix-free: one power for a family of methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from structinit_core.linalg import FactorReport, sparse_operator, symmetric_eigen

_TOLERANCE = 1e-4
"""Of the largest eigenvalue, which in log-counts is an order above all others."""
_NEGLIGIBLE = 1e-6
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class SpectralEmbeddings:
    """embeddings float32 (V, dim), columns by descending eigenvalue; values float32 (r,) ≤ dim.

    Where fewer than ``dim`` eigenvalues are positive, the columns that are left are 0.
    """

    embeddings: NDArray[np.float32]
    values: NDArray[np.float32]
    report: FactorReport


def spectral_embeddings(
    counts: sp.csr_array,
    dim: int,
    generator: np.random.Generator,
    *,
    power: float = 0.5,
    tolerance: float = _TOLERANCE,
    device: torch.device = _CPU,
) -> SpectralEmbeddings:
    """E = Q₊·λ₊^power of D = log(1 + counts): its ``dim`` largest positive eigenpairs.

    Power ½: E·Eᵀ is the nearest positive semidefinite matrix of this rank to D, as LSA and GloVe
    have it; 0: orthonormal columns. Renumbering the tokens renumbers the rows, up to the
    residuals. A token that occurs in no pair has a row of zeros. Cost as of
    :func:`structinit_core.linalg.symmetric_eigen`; memory 24 bytes an entry of ``counts``, and
    4·V for each of the columns in its report. Deterministic given the generator's state. Source:
    ours (seed-origins note 4).

    Raises:
        NumericalError: NaN or infinity in the counts.
    """
    values = np.log1p(counts.data, dtype=np.float32)
    logs = sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)
    found = symmetric_eigen(
        sparse_operator(logs, symmetric=True),
        min(dim, counts.shape[0]),
        generator,
        tolerance=tolerance,
        positive=True,
        device=device,
    )
    kept = int(np.count_nonzero(found.values > _NEGLIGIBLE * found.values[0]))
    embeddings = np.zeros((counts.shape[0], dim), np.float32)
    np.multiply(found.vectors[:, :kept], found.values[:kept] ** power, out=embeddings[:, :kept])
    embeddings[np.diff(counts.indptr) == 0] = 0  # what rounding left there
    return SpectralEmbeddings(embeddings, found.values[:kept], found.report)
