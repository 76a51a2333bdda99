"""Random orthonormal bases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def basis_without_mean(width: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A random orthonormal basis of the vectors with zero mean: float64 (width, width − 1).

    Columns are orthogonal to the all-ones vector, so LayerNorm's mean removal does not see
    anything written in them. Haar-distributed (signs of R fixed). Cost O(width³).
    """
    block = generator.standard_normal((width, width))
    block[:, 0] = 1.0
    q, r = np.linalg.qr(block)
    signs = np.sign(np.diagonal(r))
    basis: NDArray[np.float64] = (q * np.where(signs == 0, 1.0, signs))[:, 1:]
    return basis
