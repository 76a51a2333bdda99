"""How much a kernel looks like k₀, and how much one of untrained random embeddings does.

The second number belongs beside the first wherever it is shown: on the source's own sizes random
embeddings reach what the source reports of trained ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.kernel.circulant import circulant_score, deconvolved
from structinit_core.linalg import generator

_DRAWS = 5


@dataclass(frozen=True)
class Likeness:
    """cosine of k₀ and the first row of K = IFFT2(FFT2(E·Eᵀ)/FFT2(D)); circulant score of K."""

    cosine: float
    circulant: float


def likeness(embeddings: Tensor, log_counts: Tensor, k0: Tensor) -> Likeness:
    """How E (V, d) relates to k₀ (V,) as the source measures it; float64 like D (V, V).

    Scaling E changes nothing. Cost: V²·(d + log V); memory 4·8·V² bytes beside D.
    """
    kernel = deconvolved(embeddings @ embeddings.T, log_counts)
    cosine = torch.nn.functional.cosine_similarity(kernel[0], k0, dim=0)
    return Likeness(float(cosine), circulant_score(kernel))


def untrained(
    log_counts: Tensor, k0: Tensor, dim: int, seed: int, draws: int = _DRAWS
) -> Sequence[Likeness]:
    """The same of ``draws`` matrices of independent normal numbers: no text, no training."""
    found = []
    for draw in range(draws):
        rows = generator(seed, "k0 untrained", str(draw)).standard_normal((len(k0), dim))
        drawn = torch.from_numpy(np.ascontiguousarray(rows)).to(log_counts.device)
        found.append(likeness(drawn, log_counts, k0))
    return found
