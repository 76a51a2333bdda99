"""Factorisations of operators so small that writing them out is the cheapest and exact."""

from __future__ import annotations

import numpy as np
import torch

from structinit_core.errors import NumericalError
from structinit_core.linalg.basis import Doubles, as_doubles, on_device
from structinit_core.linalg.krylov import Ritz, Stopping
from structinit_core.linalg.products import Products

_TINY = float(np.finfo(np.float32).tiny)


def dense_svd(matrix: Products, rank: int) -> Ritz:
    """The ``rank`` leading triplets of a matrix small enough to write out, in float64."""
    dense = _written_out(matrix)
    u, values, vt = np.linalg.svd(dense, full_matrices=False)
    return _measured(dense, matrix, values[:rank], u[:, :rank], vt[:rank].T)


def dense_eigen(matrix: Products, stopping: Stopping) -> Ritz:
    """The wanted eigenpairs, likewise; the matrix is symmetric."""
    dense = _written_out(matrix)
    values, vectors = np.linalg.eigh((dense + dense.T) / 2)
    order = stopping.order(values)
    return _measured(dense, matrix, values[order], vectors[:, order], vectors[:, order])


def _written_out(matrix: Products) -> Doubles:
    dense = as_doubles(matrix.apply(torch.eye(matrix.shape[1], device=matrix.device)))
    if not np.isfinite(dense).all():
        raise NumericalError("a product of the matrix gave NaN or infinity")
    return dense


def _measured(dense: Doubles, matrix: Products, values: Doubles, *sides: Doubles) -> Ritz:
    """Triplets of the dense matrix as float32 will hold them, with their residuals."""
    left, right = (on_device(side, matrix.device) for side in sides)
    u, v = as_doubles(left), as_doubles(right)
    forward = np.linalg.norm(dense @ v - u * values, axis=0)
    back = np.linalg.norm(dense.T @ u - v * values, axis=0)
    residuals = np.maximum(forward, back) / max(float(np.abs(values[0])), _TINY)
    width = matrix.shape[1]
    return Ritz(values, left, right, residuals, width, width, True)
