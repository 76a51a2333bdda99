"""Heads that read one earlier token: what they hold, and where they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.initializers.fill import filled
from structinit_core.initializers.stream import Compiled
from structinit_core.linalg import generator

_CANDIDATES = 4000
_SEARCH_ELEMENTS = 1 << 25
_SLOWEST = 0.02
_LOG_ODDS = 2.2
"""Of the looked-at token against all others together, at least."""

Floats = NDArray[np.float64]


def frequencies(pairs: int, context: int, seed: int) -> Floats:
    """Angular frequencies in (0.02, π), ascending, that tell positions apart: float64 (pairs,).

    Of 4,000 random draws (fewer for long contexts) the one with the smallest
    :func:`side_lobe`. Source: closed-form prototype, section 3.
    """
    draw = generator(seed, "closed-form", "frequencies")
    candidates = max(1, min(_CANDIDATES, _SEARCH_ELEMENTS // (pairs * context)))
    drawn = np.sort(draw.uniform(_SLOWEST, np.pi, (candidates, pairs)), axis=1)
    best: Floats = drawn[np.argmin([side_lobe(each, context) for each in drawn])]
    return best


def side_lobe(frequencies: Floats, context: int) -> float:
    """The largest cosine between the codes of two different positions in the context."""
    distances = np.arange(1, max(2, context))
    return float(np.cos(np.outer(distances, frequencies)).mean(axis=1).max())


def sharpness(frequencies: Floats, context: int) -> float:
    """Factor on the cosines that leaves all other positions a tenth of the attention at most."""
    return float((np.log(context) + _LOG_ODDS) / (1 - side_lobe(frequencies, context)))


def attention(lag: int, frequencies: Floats, size: int, context: int) -> Floats:
    """Attention of a head that looks ``lag`` back: float64 (size, size), row t over s ≤ t.

    softmax_s(β·mean cos ω(t − lag − s)) for the :func:`sharpness` β of the context; the first
    ``lag`` rows look at what there is.
    """
    rows = np.arange(size)[:, None] - lag - np.arange(size)
    by_distance = np.cos(np.outer(np.arange(size + lag), frequencies)).mean(axis=1)
    scores = sharpness(frequencies, context) * by_distance[np.abs(rows)]
    scores = np.exp(scores - scores.max()) * np.tri(size)
    mass: Floats = scores / scores.sum(axis=1, keepdims=True)
    return mass


@dataclass(frozen=True)
class LagHeads:
    """The first heads of the first layer, each with the lag it looks back.

    values: float64 (k, d) a head, of the normalised stream; outputs: float64 (d, k). into:
    float64 (d, 2m), the coordinates of positions; frequencies: (m,); length: that of a
    position after the norm.
    """

    lags: tuple[int, ...]
    values: tuple[Floats, ...]
    outputs: tuple[Floats, ...]
    into: Floats
    frequencies: Floats
    length: float

    def tensors(self, blueprint: Blueprint, seed: int) -> Compiled:
        """Queries, keys, values and outputs of the first layer; other heads keep their fill.

        Keys are position codes and queries the same turned back by the lag. What a head has
        no use for stays out of its scores: those queries are zero, the keys keep their fill.
        """
        roles = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V, Role.ATTN_OUT)
        parts = {role: filled(blueprint, role, seed) for role in roles}
        size, used = blueprint.head_width, self.into.shape[1]
        beta = sharpness(self.frequencies, blueprint.context)
        scale = np.sqrt(beta * np.sqrt(size)) / self.length
        for head, lag in enumerate(self.lags):
            rows = slice(head * size, (head + 1) * size)
            parts[Role.ATTN_Q][rows] = 0.0
            looked = slice(rows.start, rows.start + used)
            parts[Role.ATTN_Q][looked] = _float(scale * turned(self.into, self.frequencies, lag).T)
            parts[Role.ATTN_K][looked] = _float(scale * self.into.T)
            parts[Role.ATTN_V][rows] = _float(self.values[head])
            parts[Role.ATTN_OUT][:, rows] = _float(self.outputs[head])
        return {(role, Kind.WEIGHT, 0): part for role, part in parts.items()}


def turned(into: Floats, frequencies: Floats, lag: int) -> Floats:
    """Coordinates in which position t reads as position t − ``lag`` does in ``into``: (d, 2m)."""
    cosine, sine = np.split(into, 2, axis=1)
    c, s = np.cos(lag * frequencies), np.sin(lag * frequencies)
    return np.concatenate((cosine * c + sine * s, sine * c - cosine * s), axis=1)


def _float(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
