"""Answers of a key-value memory: random codes of objects, values by one ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.linalg import generator

_ELSEWHERE = 4.0
"""Weight of the wish that a key adds nothing to all other objects, over one stored answer."""
_RIDGE = 1e-3
_HUB, _SHARED = 4, 0.7
"""Known objects above which those of a key share a part of their codes, and its length."""
_PREDICTED = 0.3
"""Weight of a predicted object, over a known one."""
_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Answers:
    """What keys add to logits: values (K, a) · codes (P, a)ᵀ, float32.

    gram: float64 (a, a), codesᵀ·codes; hub: int32 (K,), which signs a key's objects share or -1.
    """

    values: Tensor
    codes: Tensor
    gram: Tensor
    hub: NDArray[np.int32]


def fit_answers(
    wanted: sp.csr_array, known: NDArray[np.bool_], width: int, seed: int, device: torch.device
) -> Answers:
    """Values of K keys and codes of P objects whose products come near ``wanted`` (K, P).

    Stored entries of ``wanted`` are what a key adds to the logit of an object, ``known`` (nnz,)
    those that are links of the graph; all others are wished to be 0. Codes are random signs of
    length 1, to which the known objects of a key with many add signs of their own, so that one
    value reaches them all; objects that no key names get 0. Values are ridge regressions, one
    for each key. Deterministic. Cost O(nnz·a·min(n, a)) for keys of n objects. Source: ours.
    """
    shape = (wanted.shape[1], width)
    named = np.bincount(wanted.indices, minlength=shape[0]) > 0
    codes = object_signs(shape[0], width, seed) * named[:, None]
    links = np.flatnonzero(known)
    keys = np.searchsorted(wanted.indptr, links, side="right") - 1
    hubs = np.flatnonzero(np.bincount(keys, minlength=wanted.shape[0]) > _HUB)
    of_hubs = np.isin(keys, hubs)
    place = np.searchsorted(hubs, keys[of_hubs]), wanted.indices[links[of_hubs]]
    members = sp.coo_array((np.full(of_hubs.sum(), _SHARED), place), (len(hubs), shape[0])).tocsr()
    codes += np.asarray(members.T @ _signs((len(hubs), width), seed, "hubs"), np.float32)
    found = torch.from_numpy(codes).to(device)
    gram = (found.T @ found).double()
    hub = np.full(wanted.shape[0], -1, np.int32)
    hub[hubs] = np.arange(len(hubs), dtype=np.int32)
    values = regressed(wanted, known, found, gram / shape[0])
    return Answers(values.cpu(), found.cpu(), gram.cpu(), hub)


def object_signs(objects: int, width: int, seed: int) -> NDArray[np.float32]:
    """The codes of objects that share none, (P, a); more objects begin with the same."""
    return _signs((objects, width), seed, "objects")


def hub_signs(hubs: int, width: int, seed: int) -> NDArray[np.float32]:
    """What the objects of a key with many add to their codes, (hubs, a)."""
    return np.float32(_SHARED) * _signs((hubs, width), seed, "hubs")


def _signs(shape: tuple[int, int], seed: int, name: str) -> NDArray[np.float32]:
    drawn = generator(seed, "graph", "answers", name).integers(0, 2, shape, np.int8)
    signs: NDArray[np.float32] = (2 * drawn - 1).astype(np.float32) / np.float32(shape[1] ** 0.5)
    return signs


def regressed(
    wanted: sp.csr_array, known: NDArray[np.bool_], codes: Tensor, gram: Tensor
) -> Tensor:
    """Rows x_i (m, a) of least Σ_j v_ij·(x_i·y_j − t_ij)² + w·Σ_all (x_i·y_j)² + λ|x_i|².

    Y are ``codes`` (n, a) of the columns of ``wanted`` (m, n), ``gram`` (a, a) the mean of yyᵀ
    over all objects. With G = w·gram + λ = LLᵀ and Ỹ = Y·L⁻ᵀ: in the dual, of the size of a
    row's entries, where those are fewer than a.
    """
    width = codes.shape[1]
    weights = np.where(known, 1.0, _PREDICTED).astype(np.float32)
    gram = _ELSEWHERE * gram
    ridge = max(_RIDGE * float(gram.diagonal().mean()), 1e-9)
    lower = torch.linalg.cholesky(gram + ridge * torch.eye(width).to(gram)).float()
    whitened = torch.linalg.solve_triangular(lower, codes.T, upper=False).T.contiguous()
    found = torch.zeros(wanted.shape[0], width, device=codes.device)
    roots, counts = np.sqrt(weights), np.diff(wanted.indptr)
    for size in np.unique(counts[counts > 0]).tolist():
        alike = np.flatnonzero(counts == size)
        for some in np.array_split(alike, -(-len(alike) * size * width // _BATCH_ELEMENTS)):
            at = wanted.indptr[some][:, None] + np.arange(size)
            root = torch.from_numpy(roots[at]).to(codes)[..., None]
            known = root * whitened[torch.from_numpy(wanted.indices[at]).long().to(codes.device)]
            target = root * torch.from_numpy(wanted.data[at]).to(codes)[..., None]
            one = torch.eye(min(size, width), device=codes.device)
            if size <= width:
                solved = known.mT @ torch.linalg.solve(known @ known.mT + one, target)
            else:
                solved = torch.linalg.solve(known.mT @ known + one, known.mT @ target)
            found[torch.from_numpy(some).to(codes.device)] = solved[..., 0]
    values: Tensor = torch.linalg.solve_triangular(lower.T, found.T, upper=True)
    return values.T.contiguous()
