"""Static checks of a checkpoint, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from structinit_core.diagnose.report import Check
from structinit_core.linalg import generator
from structinit_core.progress import Progress

_EXACT_WIDTH = 4096
_POWER_STEPS = 30


def tensor_checks(tensors: Iterable[tuple[str, Tensor]], progress: Progress) -> Iterator[Check]:
    """Shape, dtype, NaN and infinity counts, rms and, for matrices, norms and stable rank.

    norm: Frobenius. spectral_norm: largest singular value, exact from the Gram matrix up to
    a shorter side of 4,096, beyond it a lower bound by 30 power steps from a seeded start.
    stable_rank: norm²/spectral_norm². All in float32 or better; memory three copies of one
    tensor. NaN or infinity is a failure and the norms are left out.
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


def _norms(name: str, values: Tensor) -> Iterator[Check]:
    scale = float(values.abs().max())
    unit = values / scale if scale else values
    norm = float(torch.linalg.vector_norm(unit, dtype=torch.float64))
    yield _size("norm", scale * norm, name)
    yield _size("rms", scale * norm / math.sqrt(values.numel()), name)
    if values.ndim == 2 and min(values.shape) > 1:
        largest = spectral_norm(values)
        yield _size("spectral_norm", largest, name)
        rank = (norm / (largest / scale)) ** 2 if largest > 0 else 0.0
        yield Check(name="stable_rank", value=rank, tensor=name)


def _size(what: str, value: float, name: str) -> Check:
    """A length; ``None`` where it is beyond float64."""
    return Check(name=what, value=value if math.isfinite(value) else None, tensor=name)


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value of a float matrix (rows × columns), whatever its scale."""
    scale = float(matrix.abs().max())
    if scale == 0:
        return 0.0
    matrix = matrix / scale
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    if tall.shape[1] <= _EXACT_WIDTH:
        gram = (tall.T @ tall).double()
        return scale * math.sqrt(max(float(torch.linalg.eigvalsh(gram)[-1]), 0.0))
    start = generator(0, "spectral-norm").standard_normal(tall.shape[1])
    vector = torch.from_numpy(start).to(tall.dtype)
    length = 0.0
    for _ in range(_POWER_STEPS):
        vector = tall.T @ (tall @ (vector / vector.norm()))
        length = float(vector.norm())
    return scale * math.sqrt(length)
