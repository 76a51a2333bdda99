"""Answers of a key-value memory: alternating ridge regressions on a sparse table of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.linalg import generator

_SWEEPS = 2
_ELSEWHERE = 4.0
"""Weight of the wish that a key adds nothing to all other objects, over one stored answer."""
_RIDGE = 1e-3
_HUB, _SHARED = 3, 0.7
"""Answers above which a key's objects share a part of their codes, and its length."""
_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Answers:
    """What keys add to logits: values (K, a) · codes (P, a)ᵀ, float32."""

    values: Tensor
    codes: Tensor


def fit_answers(wanted: sp.csr_array, width: int, seed: int, device: torch.device) -> Answers:
    """Values of K keys and codes of P objects whose products come near ``wanted`` (K, P).

    Stored entries of ``wanted`` are what a key adds to the logit of an object; all others are
    wished to be 0. Codes start as random signs of length 1, to which the objects of a key with
    many add signs of their own, so that one value reaches them all; then values given codes
    and codes given values are ridge regressions in turn. Objects that no key names get 0.
    Deterministic. Cost O(nnz·a·min(n, a)) for keys of n objects. Source: ours; the regressions
    are those of Hu, Koren & Volinsky 2008, equation 4.
    """
    hubs = sp.csr_array(wanted[np.flatnonzero(np.diff(wanted.indptr) > _HUB)], copy=True)
    hubs.data[:] = _SHARED
    named = np.bincount(wanted.indices, minlength=wanted.shape[1]) > 0
    start = _signs((wanted.shape[1], width), seed, "objects") * named[:, None]
    start += hubs.T @ _signs((hubs.shape[0], width), seed, "hubs")
    codes = torch.from_numpy(start).to(device)
    transposed = sp.csr_array(wanted.T)
    values = _regressed(wanted, codes)
    for _ in range(_SWEEPS):
        codes = _regressed(transposed, values)
        values = _regressed(wanted, codes)
    return Answers(values.cpu(), codes.cpu())


def _signs(shape: tuple[int, int], seed: int, name: str) -> NDArray[np.float32]:
    drawn = generator(seed, "graph", "answers", name).integers(0, 2, shape, np.int8)
    signs: NDArray[np.float32] = (2 * drawn - 1).astype(np.float32) / np.float32(shape[1] ** 0.5)
    return signs


def _regressed(wanted: sp.csr_array, other: Tensor) -> Tensor:
    """Rows x_i (m, a): least Σ_j (x_i·y_j − t_ij)² + w·Σ_all (x_i·y_j)² + λ|x_i|², y ``other``.

    With G = w·YᵀY + λ = LLᵀ and Ỹ = Y·L⁻ᵀ: in the dual, of the size of a row's entries, where
    those are fewer than a.
    """
    rows, width = len(other), other.shape[1]
    gram = _ELSEWHERE / rows * (other.T @ other).double()
    ridge = max(_RIDGE * float(gram.diagonal().mean()), 1e-9)
    lower = torch.linalg.cholesky(gram + ridge * torch.eye(width).to(gram)).float()
    whitened = torch.linalg.solve_triangular(lower, other.T, upper=False).T.contiguous()
    found = torch.zeros(wanted.shape[0], width, device=other.device)
    counts = np.diff(wanted.indptr)
    for size in np.unique(counts[counts > 0]).tolist():
        alike = np.flatnonzero(counts == size)
        for some in np.array_split(alike, -(-len(alike) * size * width // _BATCH_ELEMENTS)):
            at = wanted.indptr[some][:, None] + np.arange(size)
            known = whitened[torch.from_numpy(wanted.indices[at]).long().to(other.device)]
            target = torch.from_numpy(wanted.data[at]).to(other)[..., None]
            one = torch.eye(min(size, width), device=other.device)
            if size <= width:
                solved = known.mT @ torch.linalg.solve(known @ known.mT + one, target)
            else:
                solved = torch.linalg.solve(known.mT @ known + one, known.mT @ target)
            found[torch.from_numpy(some).to(other.device)] = solved[..., 0]
    solved_all: Tensor = torch.linalg.solve_triangular(lower.T, found.T, upper=True)
    return solved_all.T.contiguous()
