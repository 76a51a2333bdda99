"""Static checks of a checkpoint, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from structinit_core.diagnose.report import Check
from structinit_core.progress import Progress

_EXACT_WIDTH = 4096
_POWER_STEPS = 30


def tensor_checks(tensors: Iterable[tuple[str, Tensor]], progress: Progress) -> Iterator[Check]:
    """Shape, dtype, NaN and infinity counts, rms and, for matrices, norms and stable rank.

    norm: Frobenius. spectral_norm: largest singular value, exact from the Gram matrix up to
    a shorter side of 4,096, beyond it a lower bound by 30 power steps from a fixed start.
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
    norm = float(torch.linalg.vector_norm(values, dtype=torch.float64))
    yield Check(name="norm", value=norm, tensor=name)
    yield Check(name="rms", value=norm / math.sqrt(values.numel()), tensor=name)
    if values.ndim == 2 and min(values.shape) > 1:
        largest = spectral_norm(values)
        yield Check(name="spectral_norm", value=largest, tensor=name)
        rank = (norm / largest) ** 2 if largest > 0 else 0.0
        yield Check(name="stable_rank", value=rank, tensor=name)


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value of a float matrix (rows × columns)."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    if tall.shape[1] <= _EXACT_WIDTH:
        gram = (tall.T @ tall).double()
        return math.sqrt(max(float(torch.linalg.eigvalsh(gram)[-1]), 0.0))
    vector = torch.ones(tall.shape[1], dtype=tall.dtype) / math.sqrt(tall.shape[1])
    length = 0.0
    for _ in range(_POWER_STEPS):
        vector = tall.T @ (tall @ vector)
        length = float(vector.norm())
        if length == 0:
            return 0.0
        vector = vector / length
    return math.sqrt(length)
