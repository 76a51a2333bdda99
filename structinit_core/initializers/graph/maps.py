"""Relation maps: what a relation does to the prediction code of its subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.graph import Graph
from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.graph.codes import log_ratio
from structinit_core.initializers.graph.gain import fit_gain
from structinit_core.initializers.graph.tokens import GraphTokens

_FOREIGN = 0.3
"""Weight of the wish that a relation says nothing of particles without it, over its subjects."""
_RIDGE = 0.3
"""Of the mean eigenvalue of the codes' Gram matrix."""
_AT_ONCE = 1 << 16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Gram matrices, float64 (r, r): left, AᵀA of all particles; right, WᵀW + VᵀV."""

    left: Floats
    right: Floats


def directed_weights(graph: Graph, directed: int) -> sp.csr_array:
    """Weights of a directed relation, S + r being the inverse of r: CSR (P, P)."""
    relations = len(graph.relations)
    matrix = graph.adjacency(directed % relations)
    return matrix if directed < relations else sp.csr_array(matrix.T)


def relation_map(
    graph: Graph,
    directed: int,
    codes: LogBilinear,
    tokens: GraphTokens,
    spread: Spread,
    seed: int,
) -> Floats:
    """The map R (r, r) of a directed relation: logits x_s·R·w_o beyond those of its token.

    Ridge on both sides, R = (XᵀX + AᵀA + λ)⁻¹Xᵀ·G·W(WᵀW + VᵀV + λ)⁻¹, for the positive
    log-ratios G of the objects that follow subject and relation to those that follow the
    relation, X the codes of the subjects it has, W those of all objects. Two wishes keep it
    from what it does not know: A, the codes of all particles at a share of the weight of X, and
    V, those of tokens that are no particle as heavy as W, are to gain nothing. Its factor by
    Newton on the links' cross entropy. Cost O(nnz·r + (P + r)·r²). Source: seed 000's
    P = E⁺·A·(E⁺)ᵀ, with log-ratios.
    """
    weights = directed_weights(graph, directed)
    token = tokens.relation_token(directed)
    first = tokens.first_particle
    subjects = np.flatnonzero(np.diff(weights.indptr))
    rows = sp.csr_array(weights[subjects])
    own = codes.left[torch.from_numpy(first + subjects)]
    x = own.double().numpy()
    ratio = log_ratio(rows)
    named, column = np.unique(ratio.indices, return_inverse=True)
    ratio = sp.csr_array((ratio.data, column, ratio.indptr), shape=(len(subjects), len(named)))
    across = x.T @ (ratio @ codes.right[torch.from_numpy(first + named)].double().numpy())
    foreign = _FOREIGN * len(x) / tokens.particles * spread.left
    matrix = np.linalg.solve(_ridged(x.T @ x + foreign), across)
    matrix = np.linalg.solve(_ridged(spread.right), matrix.T).T
    mapped = torch.from_numpy((x @ matrix).astype(np.float32))
    base = codes.right[first:] @ codes.left[token] + codes.bias[first:]
    gain = fit_gain(LogBilinear(mapped, codes.right[first:], base), rows, seed)
    found: Floats = gain * matrix.astype(np.float64)
    return found


def longest_mapped(codes: LogBilinear, tokens: GraphTokens, matrix: Floats) -> float:
    """The largest length of a mapped code x_s·R of any particle: all may be asked about."""
    mapped = codes.left[tokens.first_particle :] @ torch.from_numpy(matrix.astype(np.float32))
    return float(mapped.norm(dim=1).max())


def spread_of(codes: LogBilinear, tokens: GraphTokens) -> Spread:
    """The Gram matrices that all relation maps share. Cost O(V·r²)."""
    first = tokens.first_particle
    heavier = tokens.particles / first
    right = _gram(codes.right[first:]) + heavier * _gram(codes.right[:first])
    return Spread(_gram(codes.left[first:]), right)


def _gram(codes: Tensor) -> Floats:
    gram = np.zeros((codes.shape[1],) * 2)
    for part in torch.split(codes, _AT_ONCE):
        rows = part.double().numpy()
        gram += rows.T @ rows
    return gram


def _ridged(gram: Floats) -> Floats:
    ridged: Floats = gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return ridged
