"""Phase 1: cosine bases of the coordinates, warped, without the aliases of the published one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]

_BANDS: tuple[tuple[Callable[..., Floats], Callable[..., Floats], int, float], ...] = (
    (scipy.fft.dct, np.cos, 2, 0.0),
    (scipy.fft.dst, np.sin, 2, 1.0),
    (scipy.fft.dct, np.cos, 4, 0.5),
    (scipy.fft.dst, np.sin, 4, 0.5),
)
"""Transform, its function, type, and what is added to the frequency."""


def warped_cosines(rows: int, width: int, warp: float) -> Tensor:
    """√(2/d)·cos(π/d·(d·(j/d)^ζ + ½)·i) for rows i < d: float32 (rows, d).

    The published formula goes on to i = 4d − 1, where it only repeats itself with other signs
    and two rows are 0 (:func:`aliases`). Here rows d to 4d take the three sister bases: sines
    of type II, cosines and sines of type IV; beyond 4d they begin again. Without a warp
    (ζ = 1) each is orthogonal, from scipy.fft in O(d² log d); a warp takes the entries one by
    one, and its rows are not orthogonal. Source: seed 001, 3.2, and its code; bands: ours.
    """
    bands = [_band(at % len(_BANDS), width, warp) for at in range(-(-rows // width))]
    return torch.from_numpy(np.concatenate(bands)[:rows].astype(np.float32))


def aliases(rows: int, width: int) -> int:
    """Rows of the published unwarped formula that are 0 or ± an earlier one."""
    return max(0, rows - width)


def _band(at: int, width: int, warp: float) -> Floats:
    transform, function, kind, shift = _BANDS[at]
    if warp == 1.0:
        # the transform of the unit vectors is twice the plain function
        matrix: Floats = transform(np.eye(width, dtype=np.float32), type=kind, axis=0)
        return matrix * np.float32(0.5 * np.sqrt(2 / width))
    places = width * (np.arange(width) / width) ** warp + 0.5
    angles = np.pi / width * np.outer(np.arange(width) + shift, places)
    values: Floats = np.sqrt(2 / width) * function(angles)
    return values
