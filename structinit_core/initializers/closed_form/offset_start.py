"""Where the fit of the offsets begins: a truncated higher-order SVD of the lag tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.lag_tables import LagTable

_IDENTITY_SCALE = 0.3
"""Rms of the identity codes over that of the prediction codes."""
_LONGEST = 4.0
"""Length of an identity code at most, in units of the rms length."""
_STEP = 0.5
"""Share of each solved map to begin with: lags are solved alone, and know much of the same."""
_LEAST = 1e-30
_RIDGE = 1e-3
"""In units of the mean diagonal."""


def start_offsets(
    codes: LogBilinear,
    tables: Sequence[LagTable],
    lags: Sequence[int],
    groups: int,
    identity: int,
    head_rank: int,
    prior: float,
    draw: np.random.Generator,
) -> list[Tensor]:
    """Left, right, bias, identity codes (V, c), a read (k, r+c) a group, a write (r, k) a lag.

    What lag l asks of the prediction codes after token a is the Newton step from the bigram:
    (E[w | a, l] − E[E[w | x_t] | a, l])·F⁻¹, with w the right code of the next token and F their
    mean covariance given x_t, and c_a/(c_a + ``prior``) of it for c_a occurrences. Identity
    codes are the leading left singular vectors of all lags' steps beyond the span of the left
    codes; maps are the steps' regressions on both, truncated to ``head_rank`` in the metrics of
    tokens and of F, the reads shared within a group; heads that share a lag take one after the
    other what is left of it. The bigram's factors are balanced. ``tables``: the bigram, then
    lags 1 to the largest. ``draw``: for reads that no singular vector is left for. Cost: sparse
    products, and a Gram of (lags·r)². Source: ours, after the higher-order SVD of De Lathauwer,
    De Moor and Vandewalle (2000).
    """
    left, right = _balanced(codes)
    share = tables[0].total / tables[0].total.sum()
    means = tables[0].mean(right)
    inner = right.T @ (tables[0].column_mass(share).unsqueeze(1) * right)
    factor = _cholesky(inner.addmm_(means.T, share.unsqueeze(1) * means, alpha=-1))
    asked = []
    for before, table in pairwise(tables):
        change = table.mean(right) - before.mean(means)
        trust = table.total / (table.total + prior)
        asked.append(_solved(factor, change) * trust.unsqueeze(1))
    codes_f = _identity_codes(left, [each @ factor for each in asked], share, identity)
    source = torch.cat((left, codes_f), dim=1)
    weighted = share.unsqueeze(1) * source
    metric = _cholesky(weighted.T @ source)
    maps = [
        torch.linalg.solve_triangular(metric, weighted.T @ each, upper=False) @ factor
        for each in asked
    ]
    reads: list[Tensor] = []
    writes: list[Tensor] = []
    width = source.shape[1]
    for first in range(0, len(lags), groups):
        shared = lags[first : first + groups]
        together = torch.cat([maps[lag - 1] for lag in shared], dim=1)
        kept = min(head_rank, *together.shape)
        basis = torch.linalg.svd(together, full_matrices=False).U.narrow(1, 0, kept)
        read = torch.linalg.solve_triangular(metric.T, basis, upper=True).T
        scale = width**-0.5 / read.square().mean().sqrt()
        missing = head_rank - kept
        drawn = draw.standard_normal((missing, width), dtype=np.float32)
        spare = torch.from_numpy(width**-0.5 * drawn).to(left.device)
        reads.append(torch.cat((scale * read, spare)))
        for lag in shared:
            taken = basis.T @ maps[lag - 1]
            maps[lag - 1] = maps[lag - 1] - basis @ taken
            write = torch.linalg.solve_triangular(factor, taken, upper=False, left=False).T
            writes.append(torch.nn.functional.pad(_STEP / scale * write, (0, missing)))
    return [left, right, codes.bias.clone(), codes_f, *reads, *writes]


def _balanced(codes: LogBilinear) -> tuple[Tensor, Tensor]:
    balance = (codes.right.square().mean() / codes.left.square().mean()) ** 0.25
    return codes.left * balance, codes.right / balance


def _identity_codes(left: Tensor, asked: Sequence[Tensor], share: Tensor, identity: int) -> Tensor:
    """Leading directions of what all lags ask for beyond the span of ``left``: (V, c)."""
    steps, weighted = torch.cat(list(asked), dim=1), share.unsqueeze(1) * left
    beyond = steps - left @ torch.cholesky_solve(weighted.T @ steps, _cholesky(weighted.T @ left))
    gram = beyond.T @ (share.unsqueeze(1) * beyond)
    kept = min(identity, len(gram))
    leading = torch.linalg.eigh(gram).eigenvectors.narrow(1, len(gram) - kept, kept).flip(1)
    found: Tensor = torch.nn.functional.pad(beyond @ leading, (0, identity - kept))
    rms = _IDENTITY_SCALE * left.square().mean().sqrt()
    found *= rms / found.square().mean().sqrt().clamp_min(_LEAST)
    lengths = found.norm(dim=1, keepdim=True).clamp_min(_LEAST)
    found *= (_LONGEST * math.sqrt(identity) * rms / lengths).clamp_max(1)
    return found


def _cholesky(gram: Tensor) -> Tensor:
    """The lower factor of ``gram`` with a ridge."""
    ridge = _RIDGE * gram.diagonal().mean()
    factor: Tensor = torch.linalg.cholesky(gram + ridge * torch.eye(len(gram), device=gram.device))
    return factor


def _solved(factor: Tensor, rows: Tensor) -> Tensor:
    """rows·(factor·factorᵀ)⁻¹."""
    return torch.cholesky_solve(rows.T, factor).T
