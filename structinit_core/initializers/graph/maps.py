"""Relation maps: what a relation does to the prediction code of its subject."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from structinit_core.graph import Graph
from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.graph.codes import fit_gain, log_ratio
from structinit_core.initializers.graph.tokens import GraphTokens

_FOREIGN = 0.3
"""Weight of the wish that a relation says nothing of particles without it, over its subjects."""
_RIDGE = 0.3
"""Of the mean eigenvalue of the codes' Gram matrix."""

Floats = NDArray[np.float64]


def directed_weights(graph: Graph, directed: int) -> sp.csr_array:
    """Weights of a directed relation, S + r being the inverse of r: CSR (P, P)."""
    relations = len(graph.relations)
    matrix = graph.adjacency(directed % relations)
    return matrix if directed < relations else sp.csr_array(matrix.T)


def relation_map(
    graph: Graph, directed: int, codes: LogBilinear, tokens: GraphTokens, seed: int
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
    left, right = codes.left[first:].double().numpy(), codes.right[first:].double().numpy()
    subjects = np.flatnonzero(np.diff(weights.indptr))
    rows = sp.csr_array(weights[subjects])
    x = left[subjects]
    across = x.T @ (log_ratio(rows) @ right)
    foreign = left * np.sqrt(_FOREIGN * len(x) / len(left))
    specials = codes.right[:first].double().numpy() * np.sqrt(len(right) / first)
    matrix = np.linalg.solve(_ridged(np.concatenate((x, foreign))), across)
    matrix = np.linalg.solve(_ridged(np.concatenate((right, specials))), matrix.T).T
    mapped = torch.from_numpy((x @ matrix).astype(np.float32))
    base = codes.right[first:] @ codes.left[token] + codes.bias[first:]
    gain = fit_gain(LogBilinear(mapped, codes.right[first:], base), rows, seed)
    found: Floats = gain * matrix.astype(np.float64)
    return found


def longest_mapped(codes: LogBilinear, tokens: GraphTokens, matrix: Floats) -> float:
    """The largest length of a mapped code x_s·R of any particle: all may be asked about."""
    mapped = codes.left[tokens.first_particle :] @ torch.from_numpy(matrix.astype(np.float32))
    return float(mapped.norm(dim=1).max())


def _ridged(codes: Floats) -> Floats:
    gram = codes.T @ codes
    ridged: Floats = gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return ridged
