"""The published way from counts to embeddings, which keeps nothing of the words.

The transform of a circulant matrix has V of V² entries, so W = D ⊛ circ(k₀) is circulant itself:
two tokens are as similar as the difference of their ids says (seed-origins note 4.5).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.cooc import Distance, window_counts
from structinit_core.corpus import TokenStream
from structinit_core.initializers.kernel.circulant import circulant, convolved
from structinit_core.initializers.kernel.derive import (
    EPSILON,
    derive_k0,
    log_cooccurrence,
    refuse_large,
)

WINDOW = 5
_COUNTING_BYTES = 256 << 20
_CPU = torch.device("cpu")


def kernel_embeddings(log_counts: Tensor, k0: Tensor, dim: int) -> Tensor:
    """E float64 (V, dim) with E·Eᵀ ≈ W = D ⊛ circ(k₀), as published.

    The ``dim`` largest eigenpairs of (W + Wᵀ)/2, negative values taken as 0; columns beyond V
    are 0. The largest entry of each column is positive. Eigenvalues of W come in pairs, so E is
    determined up to rotations inside them. Cost: some 10·V³; memory 5·8·V² bytes.
    """
    product = convolved(log_counts, circulant(k0))
    values, vectors = torch.linalg.eigh((product + product.T).div_(2))
    kept = min(dim, len(values))
    # narrow: an index in brackets asks for a real device even of fake tensors
    values = values.flip(0).narrow(0, 0, kept).clamp(min=0)
    vectors = vectors.flip(1).narrow(1, 0, kept)
    signs = torch.where(vectors.amax(0) < -vectors.amin(0), -1.0, 1.0)
    return torch.nn.functional.pad(vectors * (signs * values.sqrt()), (0, dim - kept))


def training_free_embeddings(
    token_ids: NDArray[np.integer],
    vocabulary: int,
    dim: int,
    *,
    window: int = WINDOW,
    epsilon: float = EPSILON,
    device: torch.device = _CPU,
) -> tuple[Tensor, Tensor, Tensor]:
    """E (V, dim), k₀ (V,) and D (V, V), float64, of one text: the whole of seed 004.

    D = log(1 + counts of pairs at most ``window`` apart), a pair of equal tokens twice; k₀ by
    :func:`derive_k0`; E by :func:`kernel_embeddings`. Memory and cost as theirs.

    Raises:
        LimitError: V above 8,192. IncompatibleError: a token ≥ V.
    """
    refuse_large(vocabulary)
    spans = np.array([[0, len(token_ids)]], np.int64)
    counts = window_counts(
        TokenStream(token_ids.astype(np.uint32), spans[0]),
        spans,
        vocabulary,
        window=window,
        distance=Distance.FLAT,
        memory_bytes=_COUNTING_BYTES,
    )
    log_counts = log_cooccurrence(counts, device)
    k0 = derive_k0(log_counts, epsilon)
    return kernel_embeddings(log_counts, k0, dim), k0, log_counts
