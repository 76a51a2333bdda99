"""Answers of a key-value memory: random codes of objects, values by one ridge regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.initializers.graph.signs import random_signs

_ELSEWHERE, _AT_EACH = 4.0, 3e-3
"""Weight of the wish that a key adds nothing to other objects, over one stored answer: of all
together, and the most of each."""
_RIDGE = 1e-3
_HUB, _SHARED = 4, 0.7
"""Known objects above which those of a key share a part of their codes, and its length."""
_HOME = 1.5
"""The same length where width is short: there all keys of several objects are homes to them."""
_ODDS = 100.0
"""Of an object to all others, at least, where width is short."""
_PREDICTED = 0.2
"""Weight of a predicted object, over a known one."""
_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Answers:
    """What keys add to logits: values (K, a) · codes (n, a)ᵀ, float32.

    objects: int64 (n,), those that a key names, ascending; nothing is added to any other. gram:
    float64 (a, a), codesᵀ·codes; hub: int32 (K,), which signs a key's objects share, -1 for none.
    """

    values: Tensor
    codes: Tensor
    objects: NDArray[np.int64]
    gram: NDArray[np.float64]
    hub: NDArray[np.int32]


def crowded(width: int, particles: int) -> bool:
    """Whether no value of ``width`` reaches a few objects among so many by random codes alone.

    The largest of P products with random codes is about √(2·ln P / a): a value made for n
    objects, √n times as long, comes nearer to others than to these beyond n = a / (2·ln P).
    """
    return width < 2 * _HUB * math.log(max(particles, 2))


def with_crosstalk(wanted: sp.csr_array, width: int) -> sp.csr_array:
    """``wanted`` with what a key adds to all others on top: CSR float32, every row has entries.

    Products x of random codes have a mean e^(c·x) of e^(c²/2a): the longest c of a row is to be
    c − c²/2a above it all, or as near as that comes. It is to be ln 100·P at least, so
    that a frequent object, of which little is lacking, leads others of its home.
    """
    longest = np.maximum.reduceat(wanted.data, wanted.indptr[:-1])
    least = np.maximum(longest, np.log(_ODDS * wanted.shape[1]))
    lifted = width * (1 - np.sqrt(np.maximum(1 - 2 * least / width, 0)))
    added = np.repeat(np.maximum(lifted, least) - longest, np.diff(wanted.indptr))
    data = (wanted.data + added).astype(np.float32)
    return sp.csr_array((data, wanted.indices, wanted.indptr), shape=wanted.shape)


def fit_answers(
    wanted: sp.csr_array, known: NDArray[np.bool_], width: int, seed: int, device: torch.device
) -> Answers:
    """Values of K keys and codes of objects whose products come near ``wanted`` (K, P).

    Stored entries of ``wanted`` are what a key adds to the logit of an object, ``known`` (nnz,)
    those that are links of the graph; all others are wished to be 0. Codes are random signs of
    length 1, to which the known objects of a key with many add signs of their own, so that one
    value reaches them all; where width is short (:func:`crowded`) all keys with several do, and
    codes are again of length 1. Values are ridge regressions, one for
    each key. Deterministic; more particles change no code while width is as short.
    Cost O(nnz·a·min(n, a)) for keys of n objects. Source: ours.
    """
    several, shared = (1, _HOME) if crowded(width, wanted.shape[1]) else (_HUB, _SHARED)
    named = np.flatnonzero(np.bincount(wanted.indices, minlength=wanted.shape[1]))
    place = np.zeros(wanted.shape[1], np.int32)
    place[named] = np.arange(len(named))
    particles = wanted.shape[1]
    shape = (len(named), width)
    wanted = sp.csr_array(
        (wanted.data, place[wanted.indices], wanted.indptr), shape=(wanted.shape[0], len(named))
    )
    codes = object_signs(named, width, seed)
    links = np.flatnonzero(known)
    keys = np.searchsorted(wanted.indptr, links, side="right") - 1
    hubs = np.flatnonzero(np.bincount(keys, minlength=wanted.shape[0]) > several)
    of_hubs = np.isin(keys, hubs)
    cells = np.searchsorted(hubs, keys[of_hubs]), wanted.indices[links[of_hubs]]
    members = sp.coo_array((np.ones(of_hubs.sum()), cells), (len(hubs), shape[0])).tocsr()
    codes += np.asarray(members.T @ hub_signs(len(hubs), width, seed, shared), np.float32)
    if several == 1:
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    found = torch.from_numpy(codes).to(device)
    gram = (found.T @ found).double()
    hub = np.full(wanted.shape[0], -1, np.int32)
    hub[hubs] = np.arange(len(hubs), dtype=np.int32)
    values = regressed(wanted, known, found, gram, particles)
    return Answers(values.cpu(), found.cpu(), named.astype(np.int64), gram.cpu().numpy(), hub)


def object_signs(objects: NDArray[np.integer], width: int, seed: int) -> NDArray[np.float32]:
    """The codes (n, a) of ``objects`` that share none, whatever others there are."""
    shape = (int(objects.max(initial=-1)) + 1, width)
    return _of_length_1(random_signs(shape, seed, "answers", "objects")[objects])


def hub_signs(hubs: int, width: int, seed: int, length: float = _SHARED) -> NDArray[np.float32]:
    """What the objects of a key with many add to their codes, (hubs, a) of this length."""
    return np.float32(length) * _of_length_1(random_signs((hubs, width), seed, "answers", "hubs"))


def _of_length_1(signs: NDArray[np.int8]) -> NDArray[np.float32]:
    return signs.astype(np.float32) / np.float32(signs.shape[1] ** 0.5)


def regressed(
    wanted: sp.csr_array, known: NDArray[np.bool_], codes: Tensor, gram: Tensor, particles: int
) -> Tensor:
    """Rows x_i (m, a) of least Σ_j v_ij·(x_i·y_j − t_ij)² + w·Σ_all (x_i·y_j)² + λ|x_i|².

    Y are ``codes`` (n, a) of the columns of ``wanted`` (m, n), ``gram`` (a, a) is Σ yyᵀ over all
    objects that keys name among the ``particles``. With G = w·gram + λ = LLᵀ and Ỹ = Y·L⁻ᵀ: in
    the dual, of the size of a row's entries, where those are fewer than a.
    """
    width = codes.shape[1]
    weights = np.where(known, 1.0, _PREDICTED).astype(np.float32)
    gram = min(_ELSEWHERE / particles, _AT_EACH) * gram
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
