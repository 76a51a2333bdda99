"""Random orthonormal bases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def random_basis(width: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A random orthonormal basis: float64 (width, width), Haar-distributed. Cost O(width³)."""
    return _signed_qr(generator.standard_normal((width, width)))


def basis_without_mean(width: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A random orthonormal basis of the vectors with zero mean: float64 (width, width − 1).

    Columns are orthogonal to the all-ones vector, so LayerNorm's mean removal does not see
    anything written in them. Haar-distributed. Cost O(width³).
    """
    block = generator.standard_normal((width, width))
    block[:, 0] = 1.0
    return _signed_qr(block)[:, 1:]


def _signed_qr(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Q of the QR decomposition with a positive diagonal of R, which makes it unique."""
    q, r = np.linalg.qr(block)
    signs = np.sign(np.diagonal(r))
    basis: NDArray[np.float64] = q * np.where(signs == 0, 1.0, signs)
    return basis
