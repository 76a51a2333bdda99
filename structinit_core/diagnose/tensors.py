"""What a stored tensor's values are, without any linear algebra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.diagnose.report import Check
from structinit_core.diagnose.spectrum import safe_scale

_PIECE = 1 << 16


@dataclass(frozen=True)
class Values:
    """Facts of a floating-point tensor; the sums are of float64, and 0 where it is not finite."""

    nans: int
    infinities: int
    zeros: int
    low: float
    high: float
    mean: float
    norm: float

    @property
    def finite(self) -> bool:
        """Whether there is neither NaN nor infinity."""
        return not self.nans and not self.infinities

    @property
    def largest(self) -> float:
        """The largest modulus."""
        return max(abs(self.low), abs(self.high))

    @property
    def constant(self) -> bool:
        """Whether all entries are the same."""
        return self.low == self.high


def read_values(tensor: Tensor) -> Values:
    """The facts of ``tensor``; two passes over it, piece by piece: 1 MiB of memory."""
    nans = infinities = zeros = 0
    low, high = math.inf, -math.inf
    for piece in pieces(tensor):
        least, most = (float(bound) for bound in torch.aminmax(piece))
        if not math.isfinite(least) or not math.isfinite(most):
            nans += int(piece.isnan().sum())
            infinities += int(piece.isinf().sum())
        low, high = min(low, least), max(high, most)
        zeros += piece.numel() - int(torch.count_nonzero(piece))
    if nans or infinities or not tensor.numel():
        return Values(nans, infinities, zeros, 0.0, 0.0, 0.0, 0.0)
    scale, total, squares = safe_scale(tensor.dtype, max(abs(low), abs(high))), 0.0, 0.0
    for piece in pieces(tensor):
        wide = piece.double()
        if scale != 1:
            wide = wide / scale
        total += float(wide.sum())
        squares += float(wide @ wide)
    mean = scale * (total / tensor.numel())
    return Values(0, 0, zeros, low, high, mean, scale * math.sqrt(squares))


def value_checks(name: str, tensor: Tensor, values: Values | None) -> Iterator[Check]:
    """Shape, dtype, NaN, infinity and zero counts, mean, largest modulus, rms and norm.

    norm: Frobenius. ``values`` is ``None`` for integers. NaN or infinity is a failure, and
    what they would spoil is left out.
    """
    yield Check(name="shape", value="x".join(map(str, tensor.shape)) or "1", tensor=name)
    yield Check(name="dtype", value=str(tensor.dtype).removeprefix("torch."), tensor=name)
    if values is None:
        return
    yield _count("nan", values.nans, name)
    yield _count("inf", values.infinities, name)
    if not values.finite or not tensor.numel():
        return
    yield Check(name="zeros", value=values.zeros / tensor.numel(), tensor=name)
    yield Check(name="mean", value=values.mean, tensor=name)
    yield Check(name="max_abs", value=values.largest, tensor=name)
    yield from norm_checks(name, values.norm, tensor.numel())


def norm_checks(name: str, norm: float, count: int) -> Iterator[Check]:
    """Frobenius norm and rms of ``count`` entries; ``None`` where beyond float64."""
    for what, size in (("norm", norm), ("rms", norm / math.sqrt(count))):
        yield Check(name=what, value=size if math.isfinite(size) else None, tensor=name)


def _count(what: str, count: int, name: str) -> Check:
    verdict = "fail" if count else "ok"
    return Check(name=what, value=count, unit="entries", threshold=0, verdict=verdict, tensor=name)


def pieces(tensor: Tensor) -> Iterator[Tensor]:
    """The entries in order, float32 or wider."""
    flat = tensor.reshape(-1)
    for start in range(0, len(flat), _PIECE):
        piece = flat[start : start + _PIECE]
        yield piece.float() if piece.dtype.itemsize < 4 else piece
