"""Static checks of a checkpoint, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from structinit_core.diagnose.report import Check, Series
from structinit_core.linalg import generator
from structinit_core.progress import Progress

_EXACT_WIDTH = 4096
_POWER_STEPS = 30
_SERIES_VALUES = 64
_NOISE = 8
"""Singular values below √(8ε) of the largest are rounding of the Gram matrix."""


def tensor_findings(
    tensors: Iterable[tuple[str, Tensor]], progress: Progress
) -> Iterator[Check | Series]:
    """Shape, dtype, NaN and infinity counts, rms and, for matrices, norms and stable rank.

    norm: Frobenius. spectral_norm: largest singular value, exact from the Gram matrix up to
    a shorter side of 4,096, beyond it a lower bound by 30 power steps from a seeded start.
    stable_rank: norm²/spectral_norm². All in float32 or better; memory three copies of one
    tensor. NaN or infinity is a failure and the norms are left out.

    The series ``singular_values`` of each matrix up to that side: at most 64, at places spread
    evenly on a logarithmic scale, as far down as the Gram matrix tells them from rounding
    (10⁻³ of the largest in float32).
    """
    for name, tensor in tensors:
        yield Check(name="shape", value="x".join(map(str, tensor.shape)) or "1", tensor=name)
        yield Check(name="dtype", value=str(tensor.dtype).removeprefix("torch."), tensor=name)
        if not tensor.is_floating_point():
            progress.advance()
            continue
        values = tensor.to(torch.float32) if tensor.dtype.itemsize < 4 else tensor
        nans, infinities = int(values.isnan().sum()), int(values.isinf().sum())
        yield _count("nan", nans, name)
        yield _count("inf", infinities, name)
        if nans == infinities == 0 and values.numel():
            yield from _norms(name, values)
        progress.advance()


def _count(what: str, count: int, name: str) -> Check:
    verdict = "fail" if count else "ok"
    return Check(name=what, value=count, unit="entries", threshold=0, verdict=verdict, tensor=name)


def _norms(name: str, values: Tensor) -> Iterator[Check | Series]:
    scale = float(values.abs().max())
    unit = values / scale if scale else values
    norm = float(torch.linalg.vector_norm(unit, dtype=torch.float64))
    yield _size("norm", scale * norm, name)
    yield _size("rms", scale * norm / math.sqrt(values.numel()), name)
    if values.ndim == 2 and min(values.shape) > 1:
        spectrum = _singular_values(values)
        largest = float(spectrum[0]) if len(spectrum) else _power_norm(values)
        yield _size("spectral_norm", largest, name)
        rank = (norm / (largest / scale)) ** 2 if largest > 0 else 0.0
        yield Check(name="stable_rank", value=rank, tensor=name)
        yield from _curve(name, spectrum, torch.finfo(values.dtype).eps)


def _size(what: str, value: float, name: str) -> Check:
    """A length; ``None`` where it is beyond float64."""
    return Check(name=what, value=value if math.isfinite(value) else None, tensor=name)


def _curve(name: str, spectrum: Tensor, epsilon: float) -> Iterator[Series]:
    told = int((spectrum > math.sqrt(_NOISE * epsilon) * spectrum[:1]).sum())
    if not told or not math.isfinite(float(spectrum[0])):
        return
    steps = range(_SERIES_VALUES)
    at = sorted({round(told ** (step / (_SERIES_VALUES - 1))) for step in steps})
    values = [float(spectrum[place - 1]) for place in at]
    yield Series(name="singular_values", values=tuple(values), at=tuple(at), tensor=name)


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value of a float matrix (rows × columns), whatever its scale."""
    spectrum = _singular_values(matrix)
    return float(spectrum[0]) if len(spectrum) else _power_norm(matrix)


def _singular_values(matrix: Tensor) -> Tensor:
    """All singular values, float64, descending; none where the shorter side is above 4,096."""
    unit, scale = _tall_unit(matrix)
    if unit.shape[1] > _EXACT_WIDTH:
        return torch.empty(0, dtype=torch.float64)
    squares: Tensor = torch.linalg.eigvalsh((unit.T @ unit).double()).flip(0)
    return squares.clamp_min(0).sqrt() * scale


def _power_norm(matrix: Tensor) -> float:
    """A lower bound of the largest singular value by power steps."""
    unit, scale = _tall_unit(matrix)
    start = generator(0, "spectral-norm").standard_normal(unit.shape[1])
    vector = torch.from_numpy(start).to(unit.dtype)
    length = 0.0
    for _ in range(_POWER_STEPS if scale else 0):
        vector = unit.T @ (unit @ (vector / vector.norm()))
        length = float(vector.norm())
    return scale * math.sqrt(length)


def _tall_unit(matrix: Tensor) -> tuple[Tensor, float]:
    """The matrix, its longer side down, over its largest entry; and that entry."""
    scale = float(matrix.abs().max())
    unit = matrix / scale if scale else matrix
    return (unit if unit.shape[0] >= unit.shape[1] else unit.T), scale
