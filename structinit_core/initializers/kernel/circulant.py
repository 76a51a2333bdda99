"""Circulant matrices and 2-D circular convolution of square matrices, float64.

A transform of a real matrix is held as its half-plane, which is as large as the matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-10
"""Divisors below it are replaced by it, as the source does."""


def circulant(row: Tensor) -> Tensor:
    """The (V, V) matrix whose row i is ``row`` (V,) rolled by i."""
    places = torch.arange(len(row), device=row.device)
    return row.take((places - places.unsqueeze(1)) % len(row))


def convolved(one: Tensor, other: Tensor) -> Tensor:
    """IFFT2(FFT2(one)·FFT2(other)) of (V, V) matrices; memory 2·8·V² bytes beside the result."""
    product: Tensor = torch.fft.rfft2(one).mul_(torch.fft.rfft2(other))
    return _inverse(product, len(one))


def deconvolved(product: Tensor, one: Tensor) -> Tensor:
    """K with ``product`` = one ⊛ K, whatever the two are: IFFT2(FFT2(product)/FFT2(one)).

    Memory as :func:`convolved`.
    """
    return _inverse(torch.fft.rfft2(product).div_(guarded(torch.fft.rfft2(one))), len(one))


def circulant_score(kernel: Tensor) -> float:
    """The median over rows i of the cosine of row i and the first row rolled by i.

    1 for a circulant matrix; the source accepts a model as converged from 0.85 on.
    """
    cosines = torch.nn.functional.cosine_similarity(kernel, circulant(kernel[0]), dim=1)
    return float(cosines.median())


def guarded(divisor: Tensor) -> Tensor:
    """A transform without entries too small to divide by."""
    return torch.where(divisor.abs() > _LEAST, divisor, _LEAST)


def _inverse(half_plane: Tensor, size: int) -> Tensor:
    matrix: Tensor = torch.fft.irfft2(half_plane, s=(size, size))
    return matrix
