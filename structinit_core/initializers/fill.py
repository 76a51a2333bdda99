"""What no method has set: neutral norms, mimetic attention, outputs next to zero."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.linalg import generator

_LOGIT_NOISE = 0.002
"""What all residual branches together may add to a logit: it must not show in a loss."""
HEAD_RMS = 0.2
"""Rms of an untied head's entries; a tied head has the stream's own rms of 1."""
_MIMETIC = 0.7
_NORMS = (Role.ATTN_NORM, Role.MLP_NORM, Role.FINAL_NORM, Role.Q_NORM, Role.K_NORM)


def fill(spec: TensorSpec, role: Role, blueprint: Blueprint, seed: int) -> Tensor:
    """One logical part (output × input) of a tensor that carries nothing compiled.

    Norm gains 1, biases 0. Queries and keys are mimetic per head, W_QᵀW_K = β(0.7·PᵀP +
    0.7·PᵀZ) with random orthonormal rows P, Z, so a token attends a little to its like
    (Trockman & Kolter 2023, with a projector for the identity). Values and MLP inputs are
    N(0, 1/fan-in): unit variance on a normalised stream. Residual outputs are so small that
    2L branches together move a logit by 0.002: predictions stay, gradients reach every tensor.
    float32, seeded by layer and role.
    """
    shape = spec.logical_shape
    if spec.kind is Kind.BIAS:
        return torch.zeros(shape)
    if role in _NORMS:
        return torch.ones(shape)
    if role in (Role.ATTN_Q, Role.ATTN_K):
        return _float(_attention(spec, role, blueprint, seed))
    deviation = shape[-1] ** -0.5
    if role in (Role.ATTN_OUT, Role.MLP_DOWN):
        head = 1.0 if blueprint.tied else HEAD_RMS
        total = _LOGIT_NOISE / (head * np.sqrt(blueprint.width))
        deviation *= total / np.sqrt(2 * blueprint.layers)
    return _float(deviation * _draw(spec, role, seed).standard_normal(shape))


def filled(blueprint: Blueprint, role: Role, layer: int, seed: int) -> Tensor:
    """The :func:`fill` of one weight of a layer."""
    spec = next(
        spec
        for spec in blueprint.tensors
        if spec.layer == layer and spec.kind is Kind.WEIGHT and role in spec.roles
    )
    return fill(spec, role, blueprint, seed)


def _draw(spec: TensorSpec, role: Role, seed: int) -> np.random.Generator:
    return generator(seed, f"layer {spec.layer}", role)


def _attention(
    spec: TensorSpec, role: Role, blueprint: Blueprint, seed: int
) -> NDArray[np.float64]:
    """Mimetic queries, or keys that share the rows of the first query head of their group."""
    scale = blueprint.head_width**-0.25
    queries = _head_rows(_draw(spec, Role.ATTN_Q, seed), blueprint, blueprint.heads)
    if role is Role.ATTN_Q:
        queries *= scale
        return queries.reshape(-1, blueprint.width)
    shared = queries[:: blueprint.heads // blueprint.kv_heads]
    own = _head_rows(_draw(spec, Role.ATTN_K, seed), blueprint, blueprint.kv_heads)
    keys: NDArray[np.float64] = scale * _MIMETIC * (shared + own)
    return keys.reshape(-1, blueprint.width)


def _head_rows(draw: np.random.Generator, blueprint: Blueprint, heads: int) -> NDArray[np.float64]:
    """Rows of about unit length for each head: float64 (heads, head width, d).

    Orthonormal, unless a head is wider than the stream.
    """
    blocks = draw.standard_normal((heads, blueprint.width, blueprint.head_width))
    if blueprint.head_width > blueprint.width:
        blocks /= np.sqrt(blueprint.width)
    else:
        blocks = np.linalg.qr(blocks)[0]
    rows: NDArray[np.float64] = blocks.transpose(0, 2, 1)
    return rows


def _float(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
