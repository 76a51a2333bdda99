"""Mimetic attention: products of weights that look like those of trained networks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Role, TensorSpec
from structinit_core.initializers.draws import Draw, gpt2_draw
from structinit_core.linalg import generator

_SCORE = (0.7, 0.7)
_VALUE_NOISE = 0.4

Floats = NDArray[np.float64]


def mimetic_draw(blueprint: Blueprint, seed: int, value: float) -> Draw:
    """GPT-2's draw with mimetic attention: W_QᵀW_K ≈ 0.7·Z + 0.7·I, W_O·W_V ≈ 0.4·Z + value·I.

    Z ~ N(0, 1/d), fresh for every head's score and for the values of every layer. As in the
    paper the product itself is set, before the score is divided by √(head width); rotary
    positions and query/key norms then act on it. Targets are cut to the rank that fits by
    SVD, √S on both sides; what a head has beyond that rank keeps GPT-2's draw.

    Grouped queries: the keys of a group are those of its first query head, and every query
    head solves its own target against them by least squares, which gives the first head its
    balanced factor. The value target is factored over all key/value heads at once; the query
    heads of a group share their output block in equal parts.

    Source: Trockman & Kolter 2023, section 3 (vision: value = −0.4). Cost: an SVD of d × d for
    each key/value head and layer; memory one layer's attention.
    """
    plain = gpt2_draw(blueprint, seed)

    @lru_cache(maxsize=1)
    def layer(number: int) -> dict[Role, Floats]:
        draw = generator(seed, "mimetic", f"layer {number}")
        queries, keys = _scores(blueprint, draw)
        out, values = _values(blueprint, draw, value)
        return {
            Role.ATTN_Q: queries,
            Role.ATTN_K: keys,
            Role.ATTN_V: values,
            Role.ATTN_OUT: out,
        }

    def draw(spec: TensorSpec, role: Role) -> Tensor:
        part = plain(spec, role)
        if spec.layer is None or part.ndim == 1:
            return part
        block = layer(spec.layer).get(role)
        if block is None:
            return part
        outward = role is Role.ATTN_OUT
        rows = part.T.contiguous() if outward else part
        # All rows of each head, but for heads that are wider than their share of the stream.
        heads, rank, width = block.shape
        rows.view(heads, -1, width)[:, :rank] = torch.from_numpy(block).float()
        return rows.T if outward else rows

    return draw


def _scores(blueprint: Blueprint, draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Rows of queries (H, rank, d) and keys (K, rank, d), rank at most the head width."""
    queries, keys = [], []
    noise, identity = _SCORE
    for head in range(blueprint.heads):
        target = _target(blueprint.width, noise, identity, draw)
        if head % (blueprint.heads // blueprint.kv_heads) == 0:
            _, values, right = np.linalg.svd(target)
            rank = min(blueprint.head_width, blueprint.width)
            root, basis = np.sqrt(values[:rank, None]), right[:rank]
            keys.append(root * basis)
        # The least-squares solution of QᵀK = target for K = √S·Vᵀ: it is √S·Uᵀ for its own.
        queries.append(basis @ target.T / root)
    return np.stack(queries), np.stack(keys)


def _values(
    blueprint: Blueprint, draw: np.random.Generator, identity: float
) -> tuple[Floats, Floats]:
    """Columns of outputs (H, rank, d) and rows of values (K, rank, d), all heads jointly."""
    heads, width = blueprint.kv_heads, blueprint.width
    left, values, right = np.linalg.svd(_target(width, _VALUE_NOISE, identity, draw))
    rank = min(blueprint.head_width, width // heads)
    kept = heads * rank
    root = np.sqrt(values[:kept, None])
    out = (root * left.T[:kept]).reshape(heads, rank, width)
    group = blueprint.heads // heads
    return np.repeat(out / group, group, axis=0), (root * right[:kept]).reshape(out.shape)


def _target(width: int, noise: float, identity: float, draw: np.random.Generator) -> Floats:
    """noise·Z + identity·I with Z ~ N(0, 1/d): float64 (d, d)."""
    scale = noise / np.sqrt(width)
    target: Floats = scale * draw.standard_normal((width, width)) + identity * np.eye(width)
    return target
