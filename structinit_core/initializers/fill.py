"""What no method has set: neutral norms, mimetic attention, outputs next to zero."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.linalg import generator

_OUTPUT = 0.01
"""Rms that all residual branches together may add to a stream of rms 1."""
_MIMETIC = 0.7
_NORMS = (Role.ATTN_NORM, Role.MLP_NORM, Role.FINAL_NORM)


def fill(spec: TensorSpec, role: Role, blueprint: Blueprint, seed: int) -> Tensor:
    """One logical part (output × input) of a tensor that carries nothing compiled.

    Norm gains 1, biases 0. Queries and keys are mimetic per head, W_QᵀW_K = β(0.7·PᵀP +
    0.7·PᵀZ) with random orthonormal rows P, Z, so a token attends a little to its like
    (Trockman & Kolter 2023, with a projector for the identity). Values and MLP inputs are
    N(0, 1/fan-in): unit variance on a normalised stream. Residual outputs are so small that
    2L branches together add rms 0.01: predictions stay, gradients reach every tensor.
    float32, seeded by tensor name.
    """
    shape = spec.logical_shape
    if spec.kind is Kind.BIAS:
        return torch.zeros(shape)
    if role in _NORMS:
        return torch.ones(shape)
    draw = generator(seed, spec.name, role)
    if role in (Role.ATTN_Q, Role.ATTN_K):
        # The keys repeat the queries' draw: the generator of the role ATTN_Q comes first.
        shared = _head_rows(generator(seed, spec.name, Role.ATTN_Q), blueprint, shape)
        scale = blueprint.head_width**-0.25
        if role is Role.ATTN_Q:
            return _float(scale * shared)
        return _float(scale * _MIMETIC * (shared + _head_rows(draw, blueprint, shape)))
    deviation = shape[-1] ** -0.5
    if role in (Role.ATTN_OUT, Role.MLP_DOWN):
        deviation *= _OUTPUT / np.sqrt(2 * blueprint.layers)
    return _float(deviation * draw.standard_normal(shape))


def _head_rows(
    draw: np.random.Generator, blueprint: Blueprint, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Orthonormal rows for each head, stacked: float64 (heads · head width, d)."""
    heads = shape[0] // blueprint.head_width
    blocks = draw.standard_normal((heads, shape[1], blueprint.head_width))
    return np.linalg.qr(blocks)[0].transpose(0, 2, 1).reshape(shape)


def _float(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
