"""The layer solve of seed 002: shrink what differs between two views of the same rows.

With Σ and C of :meth:`ViewMoments.covariances`, Δ = cov(h₁ − h₂) = 2(Σ − C) and
M = Σ^-½ Δ Σ^-½ = Q diag(μ) Qᵀ, the operator G = λ(M + λI)⁻¹ = Q diag(λ/(μ + λ)) Qᵀ is the
only minimiser of E‖G(z₁ − z₂)‖² + λ‖G − I‖²_F over whitened rows z = Σ^-½h. Since μ ≤ 4, at
λ = 1 no gain is below 1/5: a mild shrinkage near the identity.

The square map of the source, A = Σ^½ G Σ^-½, is G in the coordinates of columns, and the source
multiplies rows with it from the right. For rows it would be Aᵀ = Σ^-½ G Σ^½, the same only where
Σ and G commute. Kept as the source has it; its bottleneck has no such slip.
Source: Axym-Labs, closed-form-initialization (2026), derivation of the closed-form MLP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.linalg import Device

RIDGE = 1.0
"""λ of the source."""
FLOOR = 1e-4
"""Least eigenvalue that a covariance is given, as in the source."""


@dataclass(frozen=True)
class LayerSolve:
    """The solved map of rows h ↦ h·matrix, and what it does in whitened coordinates.

    matrix: (d, k), the source's; where it is square, its transpose is the map that minimises the
    objective over rows. gains: λ/(μ + λ) of its k directions, largest first. disagreements: their
    μ. mean: (d,), of both views, which the map does not take out. All float64.
    """

    matrix: Tensor
    gains: Tensor
    disagreements: Tensor
    mean: Tensor


def solve_views(
    pairs: Iterable[tuple[Tensor, Tensor]],
    *,
    ridge: float = RIDGE,
    width: int | None = None,
    floor: float = FLOOR,
    device: Device | None = None,
) -> LayerSolve:
    """The layer solve for the rows of any two views, given in blocks ``(first, second)``.

    A block is two tensors (n, d) of any floating dtype; ``[(h1, h2)]`` is a matrix held whole.
    Without ``width``, or with one of d or more, the square A = Σ^½ G Σ^-½; below d the
    bottleneck A_k = Σ^-½ Q_k Γ_k of the k directions with the largest gains. The solve is
    float64 on ``device``, which is the blocks' own unless given. Each column of Q has its
    largest entry positive. Cost: O(n d² + d³) time, O(d²) memory beside one block.

    Raises:
        NumericalError: no rows, or values that are not finite.
        ValueError: blocks that do not fit each other, or ``ridge``, ``width`` or ``floor``
            that is not positive.
    """
    moments = ViewMoments()
    for first, second in pairs:
        moments.add(
            first if device is None else first.to(device),
            second if device is None else second.to(device),
        )
    return solve_moments(moments, ridge=ridge, width=width, floor=floor)


def solve_moments(
    moments: ViewMoments, *, ridge: float = RIDGE, width: int | None = None, floor: float = FLOOR
) -> LayerSolve:
    """As :func:`solve_views`, from moments already gathered."""
    if ridge <= 0 or floor <= 0 or (width is not None and width < 1):
        raise ValueError("ridge, floor and width must be positive")
    own, shared = moments.covariances()
    root, inverse = roots(own, floor)
    unlike, basis = eigenpairs(inverse @ (2 * (own - shared)) @ inverse)
    disagreements = unlike.clamp(min=0.0)
    gains = ridge / (disagreements + ridge)
    if width is None or width >= len(own):
        matrix = root @ (basis * gains) @ basis.T @ inverse
    else:
        disagreements, gains, basis = disagreements[:width], gains[:width], basis[:, :width]
        matrix = inverse @ (basis * gains)
    return LayerSolve(matrix, gains, disagreements, moments.mean)


def roots(covariance: Tensor, floor: float = FLOOR) -> tuple[Tensor, Tensor]:
    """Σ^½ and Σ^-½ of a covariance whose eigenvalues are raised to ``floor``, float64 (d, d)."""
    values, basis = eigenpairs(covariance)
    size = values.clamp(min=floor).sqrt()
    return (basis * size) @ basis.T, (basis / size) @ basis.T


def eigenpairs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (d,) ascending and eigenvectors in columns (d, d) of the symmetric part.

    Signs are fixed: the largest entry of each vector is positive.

    Raises:
        NumericalError: the eigensolver failed.
    """
    try:
        values, basis = torch.linalg.eigh((matrix + matrix.T) / 2)
    except RuntimeError as error:
        raise NumericalError(f"a covariance has no eigenvectors ({error})") from error
    largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    return values, basis * torch.where(largest < 0, -1.0, 1.0)
