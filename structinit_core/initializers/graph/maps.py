"""Relation maps: what a relation does to the prediction code of its subject."""

from __future__ import annotations

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

_RIDGE = 0.03
"""Of the mean eigenvalue of the codes' Gram matrix."""
_AT_ONCE = 1 << 16

Floats = NDArray[np.float64]


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
    spread: Floats,
    seed: int,
) -> Floats:
    """The map R (r, r) of a directed relation: logits x_s·R·w_o beyond those of its token.

    Ridge on both sides, R = (XᵀX + λ)⁻¹Xᵀ·G·W(WᵀW + λ)⁻¹, for the positive log-ratios G of
    the objects that follow subject and relation to those that follow the relation, X the codes
    of the subjects it has; its factor by Newton on the links' cross entropy. ``spread`` is the
    :func:`ridged_gram` of the particles' right codes. Cost O(nnz·r + (n + r)·r² + P·r) for n
    subjects. Source: seed 000's P = E⁺·A·(E⁺)ᵀ, with log-ratios.
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
    matrix = np.linalg.solve(ridged_gram(own), across)
    matrix = np.linalg.solve(spread, matrix.T).T
    mapped = torch.from_numpy((x @ matrix).astype(np.float32))
    base = codes.right[first:] @ codes.left[token] + codes.bias[first:]
    gain = fit_gain(LogBilinear(mapped, codes.right[first:], base), rows, seed)
    found: Floats = gain * matrix.astype(np.float64)
    return found


def longest_mapped(
    graph: Graph, directed: int, codes: LogBilinear, tokens: GraphTokens, matrix: Floats
) -> float:
    """The largest length of a mapped code x_s·R among the subjects the relation has."""
    subjects = graph.subject if directed < len(graph.relations) else graph.object
    of = np.unique(subjects[graph.relation == directed % len(graph.relations)])
    mapped = codes.left[torch.from_numpy(tokens.particle(of))].double().numpy() @ matrix
    return float(np.linalg.norm(mapped, axis=1).max(initial=0.0))


def ridged_gram(codes: Tensor) -> Floats:
    """Gram matrix of codes (n, r) with a ridge: float64 (r, r)."""
    gram = np.zeros((codes.shape[1],) * 2)
    for part in torch.split(codes, _AT_ONCE):
        rows = part.double().numpy()
        gram += rows.T @ rows
    ridged: Floats = gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return ridged
