"""The factor on the products of codes, fitted on a table by Newton's method."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.linalg import generator

_ROWS, _ENTRIES = 512, 1 << 23
_WHOLE = 1 << 17
"""Columns up to which all are summed; beyond, those followed by few and a sample of the others."""
_SHORT, _NAMED, _SAMPLED = 256, 1 << 13, 1 << 13
_NEWTON_STEPS = 6
_LARGEST_GAIN = 20.0


def fit_gain(codes: LogBilinear, table: sp.csr_array, seed: int) -> float:
    """The factor on the products x_a·w_b that minimises the cross entropy of sampled rows.

    table: CSR (m, n) of what follows, for m rows of ``left`` and n of ``right``. Rows are drawn
    by their mass; Newton on one scalar. Of many columns the sum over all is estimated: those
    that short rows name as they are, the others by a sample drawn by their bias. Time and memory
    O(n·r) for the draw.
    """
    mass = table.sum(axis=1)
    draw = generator(seed, "graph", "gain")
    count = table.shape[1] if table.shape[1] <= _WHOLE else _NAMED + _SAMPLED
    wanted = min(_ROWS, max(1, _ENTRIES // count), int((mass > 0).sum()))
    rows = np.sort(draw.choice(len(mass), wanted, replace=False, p=mass / mass.sum()))
    followers = table[rows]
    left = codes.left[torch.from_numpy(rows)]
    target = _targets(left, codes.right, followers)
    right, bias = codes.right, codes.bias
    if table.shape[1] > _WHOLE:
        columns, bias = _sampled(codes.bias, followers, draw)
        right = codes.right[torch.from_numpy(columns)]
    gain, part = 1.0, max(1, (1 << 22) // len(bias))
    for _ in range(_NEWTON_STEPS):
        slope = curvature = 0.0
        for low in range(0, len(rows), part):
            scores = left[low : low + part] @ right.T
            p = torch.softmax(gain * scores + bias, dim=1)
            mean = (p * scores).sum(dim=1)
            slope += float((mean - target[low : low + part]).sum())
            curvature += float(((p * scores.square()).sum(dim=1) - mean.square()).sum())
        if curvature <= 0:
            break
        gain = min(max(gain - slope / curvature, 0.05), _LARGEST_GAIN)
    return gain


def _targets(left: Tensor, right: Tensor, followers: sp.csr_array) -> Tensor:
    """The mean product of each row with what follows it: float32 (m,)."""
    means = np.empty(len(left), np.float32)
    for row in range(len(left)):
        of = slice(followers.indptr[row], followers.indptr[row + 1])
        share = followers.data[of] / followers.data[of].sum()
        after = right[torch.from_numpy(followers.indices[of]).long()].numpy()
        means[row] = (share.astype(np.float32) @ after) @ left[row].numpy()
    return torch.from_numpy(means)


def _sampled(
    bias: Tensor, followers: sp.csr_array, draw: np.random.Generator
) -> tuple[NDArray[np.int64], Tensor]:
    """Columns, and the log of how much each stands for: those named by short rows stand alone."""
    chance = np.exp(bias.double().numpy() - float(bias.max()))
    counts = np.diff(followers.indptr)
    short = np.repeat(counts <= _SHORT, counts)
    named = np.unique(followers.indices[short]).astype(np.int64)
    if len(named) > _NAMED:
        named = np.sort(draw.choice(named, _NAMED, replace=False))
    alone = bias[torch.from_numpy(named)]
    chance[named] = 0
    upper = np.cumsum(chance)
    drawn = np.searchsorted(upper, draw.random(_SAMPLED) * upper[-1], side="right")
    each = np.log(upper[-1] / _SAMPLED) + float(bias.max())
    weights = torch.cat((alone, torch.full((_SAMPLED,), each)))
    return np.concatenate((named, drawn)), weights
