"""Random orthonormal bases: Haar exactly, or nearly and much faster."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor

from structinit_core.linalg import pages

_CPU = torch.device("cpu")
_PANEL = 128
"""Reflectors multiplied together: products of matrices do nearly all of the work."""


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


def haar(
    rows: int,
    columns: int,
    generator: np.random.Generator,
    device: torch.device = _CPU,
) -> Tensor:
    """A matrix with orthonormal columns, or rows where it is wide: float32 (rows, columns).

    On ``device``. Haar-distributed exactly: the reflectors of a Gaussian matrix's QR are
    independent and are drawn outright, so nothing is factorised. They are multiplied a panel at
    a time from the last, which acts on the fewest columns, to the first. Orthogonal to about
    1e-7·√rows. Cost: 4/3·n³ for n×n, half of QR; memory one panel. Source: Stewart 1980; the
    product of a panel of reflectors as I − V·T·Vᵀ: Schreiber & Van Loan 1989, T by Puglisi 1992.
    """
    if rows < columns:
        turned = haar(columns, rows, generator, device).T
        return turned.clone(memory_format=torch.contiguous_format)
    if device.type == "cpu":
        basis = torch.from_numpy(pages.empty((rows, columns), np.float32)).zero_()
    else:
        basis = torch.zeros((rows, columns), device=device)
    for at in reversed(range(0, columns, _PANEL)):
        width = min(_PANEL, columns - at)
        drawn = generator.standard_normal((rows - at, width), dtype=np.float32)
        vectors = torch.from_numpy(drawn).to(device).tril_()
        first = vectors.diagonal().clone()
        norms = vectors.norm(dim=0).clamp_(min=torch.finfo(torch.float32).tiny)
        signs = torch.where(first < 0, -1.0, 1.0)
        vectors /= first + signs * norms
        vectors.diagonal().fill_(1)
        inverse = (vectors.T @ vectors).triu_(1)
        inverse.diagonal().add_(norms / (first.abs() + norms))
        # narrow: an index in brackets asks for a real device even of fake tensors
        rest = basis.narrow(0, at, rows - at).narrow(1, at, columns - at)
        rest.diagonal().narrow(0, 0, width).sub_(signs)
        weights = torch.linalg.solve_triangular(inverse, vectors.T @ rest, upper=True)
        rest.addmm_(vectors, weights, alpha=-1)
    return basis


def structured_orthogonal(rows: int, columns: int, generator: np.random.Generator) -> Tensor:
    """As :func:`haar` but not Haar: float32 (rows, columns) in O(rows·columns·log) time.

    Three rounds of random signs and an orthonormal cosine transform; entries look Gaussian,
    yet only 3·max(rows, columns) random bits decide them. Orthogonal to about 1e-6. Source:
    fast Johnson-Lindenstrauss transforms (Ailon & Chazelle 2009); three rounds as in
    Andoni et al. 2015.
    """
    if rows < columns:
        return structured_orthogonal(columns, rows, generator).T.contiguous()
    block = np.eye(columns, rows, dtype=np.float32)
    for _ in range(3):
        block *= generator.choice(np.array([-1, 1], np.float32), rows)
        block = dct(block, norm="ortho", overwrite_x=True)
    return torch.from_numpy(block.T.copy())


def _signed_qr(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Q of the QR decomposition with a positive diagonal of R, which makes it unique."""
    q, r = np.linalg.qr(block)
    signs = np.sign(np.diagonal(r))
    basis: NDArray[np.float64] = q * np.where(signs == 0, 1.0, signs)
    return basis
