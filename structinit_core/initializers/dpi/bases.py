"""Bases of a layer: principal directions of its input, and scaling to a fan-in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structinit_core.errors import NumericalError

_RIDGE = 1e-6
_DOUBLE_WIDTH = 1024
"""Widths up to which eigenvectors are found in float64; beyond it takes twice as long."""


@dataclass(frozen=True)
class Manifold:
    """Principal components of activations: variances (d,) descending, directions as rows (d, d)."""

    variances: Tensor
    directions: Tensor

    def basis(self, gamma: float) -> Tensor:
        """diag((S + 10⁻⁶)^γ)·Uᵀ: directions as rows, scaled by powers of their *variances*."""
        # unsqueeze, narrow: an index in brackets asks for a real device even of fake tensors
        return (self.variances + _RIDGE).pow(gamma).unsqueeze(1) * self.directions

    def whitener(self, ridge: float) -> Tensor:
        """C^(−½) of the covariance C (ZCA), variances raised by ``ridge``."""
        return (self.directions.T * (self.variances + ridge).rsqrt()) @ self.directions

    def facts(self) -> dict[str, float]:
        """Total variance, effective rank exp(H), and the share of the first component."""
        shares = (self.variances / self.variances.sum().clamp(min=1e-30)).double()
        entropy = -(shares * shares.clamp(min=1e-30).log()).sum()
        return {
            "variance": float(self.variances.double().mean()),
            "effective_rank": float(entropy.exp()),
            "first_share": float(shares[0]),
        }


def manifold(stream: Tensor) -> Manifold:
    """Eigenpairs of the covariance of the rows of ``stream`` (n, d), float32.

    The largest entry of every direction is positive. Of fewer rows than columns the rest of the
    directions are some basis of what is left, with variance about 0. Cost: n·d² and an
    eigendecomposition of d×d, in float64 up to a width of 1,024. Source: seed 001, 3.2; its
    text names the left vectors of X, which are of the wrong side.

    Raises:
        NumericalError: NaN or infinity in the activations.
    """
    width = stream.shape[1]
    centred = stream - stream.mean(dim=0)
    covariance = centred.T @ centred / max(1, len(stream) - 1)
    if not bool(torch.isfinite(covariance.sum())):
        raise NumericalError("activations hold NaN or infinity")
    if width <= _DOUBLE_WIDTH:
        covariance = covariance.double()
    values, vectors = torch.linalg.eigh(covariance)
    rows = vectors.T.flip(0)
    signs = torch.where(rows.amax(1) < -rows.amin(1), -1.0, 1.0)
    variances = values.flip(0).clamp(min=0).float()
    return Manifold(variances, (rows * signs[:, None]).float().contiguous())


def normed(matrix: Tensor) -> Tensor:
    """``matrix`` with entries of standard deviation 1/√columns."""
    return matrix * fan_in(matrix)


def fan_in(matrix: Tensor) -> Tensor:
    """What entries must be multiplied by to have a standard deviation of 1/√columns."""
    factor: Tensor = matrix.shape[1] ** -0.5 / matrix.std()
    return factor


def tiled(basis: Tensor, rows: int) -> Tensor:
    """The first ``rows`` rows of ``basis`` repeated as often as needed."""
    return basis.repeat(-(-rows // len(basis)), 1).narrow(0, 0, rows)


def per_group(rows: Tensor, heads: int, groups: int) -> Tensor:
    """Rows of ``groups`` key heads repeated for the query heads that share them."""
    if heads == groups:
        return rows
    return rows.view(groups, -1, rows.shape[1]).repeat_interleave(heads // groups, 0).flatten(0, 1)


def gaussian(shape: tuple[int, ...], draw: np.random.Generator) -> Tensor:
    """Seeded N(0, 1): float32."""
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
