"""Phase 0: singular vectors of next-token counts, of all tokens or through landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from structinit_core.cooc import Counts
from structinit_core.initializers.dpi.settings import DpiSettings
from structinit_core.linalg import TruncatedSvd, generator, sparse_operator, truncated_svd

_LANDMARKS = 2000
_TOLERANCE = 1e-2
"""Residual relative to the largest singular value."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Factors:
    """Left and right vectors (n, r) of the rows ``tokens`` (n,), and facts by name."""

    tokens: NDArray[np.int64]
    left: Floats
    right: Floats
    facts: dict[str, float]


def landmarks(settings: DpiSettings, counts: Counts, width: int) -> NDArray[np.int64]:
    """The most frequent tokens, ties to the lower id: by default 2,000, or the width if more.

    The source takes the first ids, which are whatever its tokenizer numbered first.
    """
    asked = settings.landmarks or max(_LANDMARKS, width)
    order = np.argsort(-counts.unigram, kind="stable")[:asked]
    return order[counts.unigram[order] > 0]


def lexical_factors(
    settings: DpiSettings, counts: Counts, width: int, seed: int, device: torch.device
) -> Factors:
    """At most ``width`` singular vectors of the next-token counts C, without their values.

    ``exact``: of C itself. ``nystrom``: for landmarks N, W = C[N, N] = U·S·Vᵀ, the rows of
    C[:, N]·U·S^(−½), and of C[N, :]ᵀ·U·S^(−½) for the right; a Nyström extension wants a
    symmetric positive kernel, which C is not, and that is the formula as published.
    ``block``: U of C[N, N] + C[N, N]ᵀ for the rows N alone. Cost: sparse products.
    Source: seed 001, 3.1, and its code.
    """
    table = counts.offsets[0]
    every = np.arange(counts.vocabulary)
    draw = generator(seed, "dpi", "lexical")

    def vectors(matrix: sp.csr_array, *, symmetric: bool = False) -> TruncatedSvd:
        operator = sparse_operator(matrix, symmetric=symmetric)
        return truncated_svd(operator, width, draw, tolerance=_TOLERANCE, device=device)

    if settings.lexical == "exact":
        svd = vectors(sp.csr_array(table, dtype=np.float32))
        return Factors(every, svd.left, svd.right, _facts(svd))
    chosen = landmarks(settings, counts, width)
    rows = sp.csr_array(table[chosen], dtype=np.float32)
    inner = sp.csr_array(rows[:, chosen])
    symmetric = settings.lexical == "block"
    svd = vectors(sp.csr_array(inner + inner.T) if symmetric else inner, symmetric=symmetric)
    facts = _facts(svd) | {"landmarks": len(chosen)}
    facts["landmark_share"] = float(counts.unigram[chosen].sum() / counts.unigram.sum())
    if symmetric:
        return Factors(chosen, svd.left, svd.right, facts)
    extension = svd.left / np.sqrt(svd.values)
    columns = sp.csr_array(table[:, chosen], dtype=np.float32)
    return Factors(every, columns @ extension, sp.csr_array(rows.T) @ extension, facts)


def _facts(svd: TruncatedSvd) -> dict[str, float]:
    return {
        "rank": len(svd.values),
        "largest_singular_value": float(svd.values[0]),
        "smallest_singular_value": float(svd.values[-1]),
        "relative_residual": svd.report.residual,
    }
