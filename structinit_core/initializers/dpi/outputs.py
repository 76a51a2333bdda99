"""What writes into the residual stream: orthogonal, exactly or fast, or Gaussian."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.dpi.bases import gaussian
from structinit_core.initializers.dpi.settings import DpiSettings
from structinit_core.linalg import haar, structured_orthogonal

_PROBES = 8


def residual_output(
    settings: DpiSettings,
    shape: tuple[int, ...],
    layers: int,
    draw: np.random.Generator,
    device: torch.device,
) -> Tensor:
    """W_O or W_2, (d, fan-in), entries of standard deviation s/√fan-in: float32 on ``device``.

    s = 1/√(2L) for ``s-dpi``, else 1, times the residual gain. ``qr``: Haar, what QR of Gaussian
    noise is; ``fast``: three rounds of random signs and cosine transforms; ``none``: N(0, 1).
    Source: seed 001, 3.4; S-DPI: its appendix.
    """
    rows, columns = shape
    scale = settings.residual_gain * ((2 * layers) ** -0.5 if settings.scale == "s-dpi" else 1.0)
    if settings.orthogonal == "none":
        noise = gaussian((rows, columns), draw)
        return noise.mul_(scale * columns**-0.5).to(device)
    # entries of orthonormal rows or columns have deviation 1/sqrt of the longer side
    scale *= (max(rows, columns) / columns) ** 0.5
    if settings.orthogonal == "qr":
        return haar(rows, columns, draw, device).mul_(scale)
    return structured_orthogonal(rows, columns, draw).mul_(scale).to(device)


def orthogonality_error(matrix: Tensor, draw: np.random.Generator) -> float:
    """How far the rows (columns, where tall) are from orthogonal and of one length.

    ‖(WWᵀ/c − 1)z‖/‖z‖ over 8 random vectors z, c the mean squared length: 0 for orthogonal
    rows, √(rows/columns) for Gaussian ones. Cost: 16 products with a vector.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    probes = gaussian((wide.shape[0], _PROBES), draw).to(matrix.device)
    length = wide.square().sum() / wide.shape[0]
    error = wide @ (wide.T @ probes) / length - probes
    return float(error.norm() / probes.norm())
