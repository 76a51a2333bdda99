"""Truncated SVD of an implicit operator by randomised subspace iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import NumericalError
from structinit_core.linalg.operators import SparsePlusLowRank

_OVERSAMPLING = 16
_NEGLIGIBLE = 1e-6
"""Share of the largest singular value below which float32 leaves only noise."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TruncatedSvd:
    """U (m, r), singular values descending (r,), V (n, r), float32; A ≈ U·diag(s)·Vᵀ.

    residual: the largest ‖A·v − s·u‖ over the r triplets, relative to the largest s.
    """

    left: Floats
    values: Floats
    right: Floats
    residual: float


def truncated_svd(
    operator: SparsePlusLowRank, rank: int, generator: np.random.Generator, iterations: int = 4
) -> TruncatedSvd:
    """The ``rank`` leading singular triplets, up to the stated residual.

    Fewer where the matrix has a smaller numerical rank (values above 10⁻⁶ of the largest),
    but at least one.

    Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.1, with ``iterations`` power steps
    and QR after every product; signs fixed so that the largest entry of each left vector is
    positive. Cost: 2·iterations+3 products with rank+16 columns and as many QRs.
    Deterministic given the generator's state, up to the BLAS in use.

    Raises:
        NumericalError: a NaN or infinity came out.
    """
    rows, columns = operator.shape
    width = min(rank + _OVERSAMPLING, rows, columns)
    rank = min(rank, width)
    start = generator.standard_normal((columns, width), dtype=np.float32)
    try:
        basis = _orthonormal(operator @ start)
        for _ in range(iterations):
            basis = _orthonormal(operator @ _orthonormal(operator.adjoint(basis)))
        inner, values, right = np.linalg.svd(operator.adjoint(basis).T, full_matrices=False)
    except np.linalg.LinAlgError as error:
        raise NumericalError(f"the truncated SVD failed ({error})") from error
    if not np.isfinite(values).all():
        raise NumericalError("the truncated SVD gave NaN or infinity")
    kept = max(1, int(np.count_nonzero(values[:rank] > _NEGLIGIBLE * values[0])))
    left, values, right = (basis @ inner)[:, :kept], values[:kept], right[:kept].T
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(kept)])
    signs[signs == 0] = 1
    left, right = left * signs, right * signs
    errors = np.linalg.norm(operator @ right - left * values, axis=0)
    largest = max(float(values[0]), float(np.finfo(np.float32).tiny))
    return TruncatedSvd(left, values, right, float(errors.max()) / largest)


def _orthonormal(block: Floats) -> Floats:
    basis: Floats = np.linalg.qr(block)[0]
    return basis
