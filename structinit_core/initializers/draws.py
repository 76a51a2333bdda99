"""The two classic random draws of a logical part: GPT-2's normal and Glorot's uniform."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.linalg import generator

Draw = Callable[[TensorSpec, Role], Tensor]
"""One logical part (output × input) of a tensor, float32."""

RESIDUAL = (Role.ATTN_OUT, Role.MLP_DOWN)
"""What writes into the residual stream."""

_DEVIATION = 0.02


def gpt2_draw(blueprint: Blueprint, seed: int) -> Draw:
    """N(0, 0.02²); what writes into the residual stream divided by √(2L). Gains 1, biases 0.

    Source: Radford et al. 2019, section 2.3. Deterministic for seed, layer and role.
    """

    def draw(spec: TensorSpec, role: Role) -> Tensor:
        if len(spec.shape) == 1:
            return _vector(spec, 1.0)
        scale = (2 * blueprint.layers) ** -0.5 if role in RESIDUAL else 1.0
        normal = source(seed, spec, role).standard_normal(spec.logical_shape, dtype=np.float32)
        return _DEVIATION * scale * torch.from_numpy(normal)

    return draw


def xavier_draw(seed: int, gain: float = 1.0) -> Draw:
    """U(±√(6/(fan-in + fan-out))) for every logical matrix; norm gains ``gain``, biases 0.

    Source: Glorot & Bengio 2010, eq. 16. Deterministic for seed, layer and role.
    """

    def draw(spec: TensorSpec, role: Role) -> Tensor:
        if len(spec.shape) == 1:
            return _vector(spec, gain)
        bound = (6 / sum(spec.logical_shape)) ** 0.5
        uniform = source(seed, spec, role).random(spec.logical_shape, dtype=np.float32)
        part: Tensor = bound * (2 * torch.from_numpy(uniform) - 1)
        return part

    return draw


def source(seed: int, spec: TensorSpec, role: Role) -> np.random.Generator:
    """The random numbers of one part; baselines share them and so compare in pairs."""
    return generator(seed, "baseline", f"layer {spec.layer}", role)


def _vector(spec: TensorSpec, gain: float) -> Tensor:
    return torch.full(spec.logical_shape, gain if spec.kind is Kind.WEIGHT else 0.0)
