"""The MLP variant of seed 002: solved layers, relu, and standardisation, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.errors import NumericalError
from structinit_core.initializers.paired_views.moments import ViewMoments
from structinit_core.initializers.paired_views.solve import FLOOR, RIDGE, solve_moments

DEPTH = 3
WIDTH = 507
"""Depth and width of the source. A width at or above that of the rows keeps theirs."""
_LEAST_VARIANCE = 1e-6

Streams = Callable[[], Iterable[tuple[Tensor, Tensor, Tensor]]]
"""Blocks ``(base, first view, second view)`` of (n, d) each, the same ones at every call."""


@dataclass(frozen=True)
class MlpLayer:
    """h ↦ (relu(h·matrix) − mean) / scale, float32: (d, k), (k,), (k,)."""

    matrix: Tensor
    mean: Tensor
    scale: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """The layer's output for ``rows`` (n, d): float32 (n, k)."""
        return (torch.relu(rows.float() @ self.matrix) - self.mean) / self.scale


def fit_mlp(
    streams: Streams,
    *,
    depth: int = DEPTH,
    width: int = WIDTH,
    ridge: float = RIDGE,
    floor: float = FLOOR,
) -> tuple[MlpLayer, ...]:
    """The layers, fitted one after another on the rows as the layers before leave them.

    Each is the solve of :func:`~structinit_core.initializers.paired_views.solve_views`, relu,
    and per-feature standardisation with mean and deviation of base and both views together,
    variances below 10⁻⁶ taken as that. ``streams`` is called twice a layer, and earlier
    layers are run again, so that memory is one block and O(d²). No label is used. On the
    blocks' device; deterministic there. Source: seed 002, MLP scenario.

    Raises:
        NumericalError: no rows, or values that are not finite.
    """
    layers: list[MlpLayer] = []
    for _ in range(depth):
        moments = ViewMoments()
        for _, first, second in streams():
            moments.add(features(layers, first)[-1], features(layers, second)[-1])
        matrix = solve_moments(moments, ridge=ridge, width=width, floor=floor).matrix.float()
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for block in streams():
            rows = torch.cat([features(layers, part)[-1] for part in block])
            out = torch.relu(rows @ matrix).double()
            count += len(out)
            total, squares = total + out.sum(0), squares + out.square().sum(0)
        if count == 0:
            raise NumericalError("the second reading of the streams gave no rows")
        mean = total / count
        scale = (squares / count - mean.square()).clamp(min=_LEAST_VARIANCE).sqrt()
        layers.append(MlpLayer(matrix, mean.float(), scale.float()))
    return tuple(layers)


def features(layers: Sequence[MlpLayer], rows: Tensor) -> list[Tensor]:
    """``rows`` (n, d) in float32, and the output of every layer in turn."""
    found = [rows.float()]
    for layer in layers:
        found.append(layer(found[-1]))
    return found
