"""pid8: one technique per band of depth, and a plain draw for what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Role
from structinit_core.initializers.dpi.bases import gaussian, tiled
from structinit_core.initializers.dpi.ground import Ground, Parts
from structinit_core.initializers.dpi.outputs import residual_output
from structinit_core.initializers.dpi.schedule import Depth
from structinit_core.initializers.dpi.settings import DpiSettings
from structinit_core.linalg import generator

_DEVIATION = 0.02
_DCT, _CLUSTERS, _BASIS, _OUTPUTS = 1, 2, 3, 4


def band_parts(
    settings: DpiSettings,
    blueprint: Blueprint,
    depth: Depth,
    ground: Ground,
    shapes: Mapping[Role, tuple[int, ...]],
    seed: int,
    device: torch.device,
) -> Parts:
    """The layer's matrices: N(0, 0.02²), which the source leaves open, but for its band's.

    Of eight layers: 0-1 W1 = warped cosines; 2-3 W_Q and W1 = cluster centres of the layer's
    input; 4-5 W_Q = diag((S + 10⁻⁶)^γ)Uᵀ, W_K = W_V = Uᵀ, W1 = tiled Uᵀ; 6 W_O and W_2
    orthogonal; 7 none. Nothing is normed. Other depths by eighths. Source: seed 001's
    ancestor, commit a1b5ef2.
    """
    parts: Parts = {}
    for role, shape in shapes.items():
        draw = generator(seed, "dpi", f"layer {depth.layer}", role)
        if depth.band == _OUTPUTS and role in (Role.ATTN_OUT, Role.MLP_DOWN):
            parts[role] = residual_output(settings, shape, depth.layers, draw, device)
        else:
            parts[role] = _DEVIATION * gaussian(shape, draw).to(device)
    queries, wide = shapes[Role.ATTN_Q][0], shapes[Role.MLP_UP][0]
    directions = ground.manifold.directions
    first: Tensor | None = None
    if depth.band == _DCT:
        first = ground.cosines
    elif depth.band == _CLUSTERS:
        parts[Role.ATTN_Q] = tiled(ground.clusters(blueprint.width), queries)
        first = ground.clusters(wide)
    elif depth.band == _BASIS:
        parts[Role.ATTN_Q] = tiled(ground.manifold.basis(depth.gamma(settings)), queries)
        parts[Role.ATTN_K] = tiled(directions, shapes[Role.ATTN_K][0])
        parts[Role.ATTN_V] = parts[Role.ATTN_K].clone()
        first = tiled(directions, wide)
    if first is not None:
        parts[Role.MLP_UP] = first.clone()
        if blueprint.gated:
            parts[Role.MLP_GATE] = first.roll(1, 0)
    return parts
