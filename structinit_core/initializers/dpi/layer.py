"""The weights of one layer from the activations that enter it."""

from __future__ import annotations

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, TensorSpec
from structinit_core.initializers.dpi.bands import band_parts
from structinit_core.initializers.dpi.bases import fan_in, gaussian, normed, tiled
from structinit_core.initializers.dpi.ground import Ground, Parts
from structinit_core.initializers.dpi.outputs import orthogonality_error, residual_output
from structinit_core.initializers.dpi.schedule import Depth
from structinit_core.initializers.dpi.settings import DpiSettings
from structinit_core.initializers.dpi.signatures import alignment, keys, queries, values
from structinit_core.linalg import generator, haar


def layer_parts(
    settings: DpiSettings,
    blueprint: Blueprint,
    depth: Depth,
    ground: Ground,
    seed: int,
    device: torch.device,
) -> Parts:
    """Every matrix of the layer: float32 on ``device``, output × input.

    W1 is normed from exp(−4p)·cosines + bell·tiled basis (+ noise). A gated feed-forward has
    it twice: up as it is, the gate with its rows moved by one, so that no unit multiplies a
    row with itself (ours). Of grouped queries every key head takes the next rows, and query
    heads align with the key head they read. Deterministic for the seed and the layer.
    """
    shapes = logical_shapes(blueprint, depth.layer)
    if settings.bands:
        parts = band_parts(settings, blueprint, depth, ground, shapes, seed, device)
    else:
        basis = normed(ground.manifold.basis(depth.gamma(settings)))
        if settings.signatures:
            parts = _signed(settings, blueprint, depth, ground, basis, shapes)
        else:
            parts = _unsigned(depth, shapes, seed, device)
        up = _up(settings, depth, ground, basis, shapes[Role.MLP_UP][0], seed)
        parts[Role.MLP_UP] = up
        if blueprint.gated:
            parts[Role.MLP_GATE] = up.roll(1, 0)
        for role in (Role.ATTN_OUT, Role.MLP_DOWN):
            draw = generator(seed, "dpi", f"layer {depth.layer}", role)
            parts[role] = residual_output(settings, shapes[role], depth.layers, draw, device)
    _morph(settings, parts, ground.previous)
    return parts


def _signed(
    settings: DpiSettings,
    blueprint: Blueprint,
    depth: Depth,
    ground: Ground,
    basis: Tensor,
    shapes: dict[Role, tuple[int, ...]],
) -> Parts:
    if ground.centres is None:
        raise ValueError("keys need cluster centres")
    rows = shapes[Role.ATTN_K][0]
    key_rows = tiled(keys(settings, depth, basis, ground.centres), rows)
    return {
        Role.ATTN_Q: queries(settings, depth, basis, key_rows, blueprint),
        Role.ATTN_K: key_rows,
        # past the phase shift the same values, in a tensor of their own
        Role.ATTN_V: tiled(values(settings, depth, ground.manifold, basis), rows).clone(),
    }


def _unsigned(
    depth: Depth, shapes: dict[Role, tuple[int, ...]], seed: int, device: torch.device
) -> Parts:
    parts: Parts = {}
    for role in (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V):
        rows, columns = shapes[role]
        draw = generator(seed, "dpi", f"layer {depth.layer}", role)
        parts[role] = normed(haar(rows, columns, draw, device))
    return parts


def _up(
    settings: DpiSettings, depth: Depth, ground: Ground, basis: Tensor, rows: int, seed: int
) -> Tensor:
    syntactic, semantic = depth.syntactic(settings), depth.semantic
    # a copy, the largest matrix of the layer: the rest is done in place
    mixed = tiled(basis, rows)
    if ground.cosines is not None:
        mixed.mul_(semantic).add_(syntactic * ground.cosines)
    if settings.up_noise * depth.p:
        draw = generator(seed, "dpi", f"layer {depth.layer}", "up noise")
        noise = gaussian((rows, basis.shape[1]), draw).to(mixed.device)
        mixed.add_(noise.mul_(settings.up_noise * depth.p))
    return mixed.mul_(fan_in(mixed))


def _morph(settings: DpiSettings, parts: Parts, previous: Parts) -> None:
    """Phase 7: (1 − α)·own + α·the layer before, which is smoothed already."""
    alpha = settings.morph_alpha
    for role, before in previous.items() if alpha else ():
        parts[role] = (1 - alpha) * parts[role] + alpha * before


MORPHED = (Role.MLP_UP, Role.MLP_GATE, Role.ATTN_Q)
"""What phase 7 mixes with the layer before."""


def layer_facts(
    settings: DpiSettings, blueprint: Blueprint, depth: Depth, parts: Parts, seed: int
) -> dict[str, float]:
    """The layer's schedule and what its matrices turned out to be, by name."""

    def error(role: Role) -> float:
        draw = generator(seed, "dpi", f"layer {depth.layer}", role, "probe")
        return orthogonality_error(parts[role], draw)

    facts = {
        "gamma": depth.gamma(settings),
        "alignment": alignment(parts[Role.ATTN_Q], parts[Role.ATTN_K], blueprint),
        "key_orthogonality_error": error(Role.ATTN_K),
        "orthogonality_error": max(error(Role.ATTN_OUT), error(Role.MLP_DOWN)),
    }
    if depth.shifted(settings):
        facts["keys_are_values"] = float(torch.equal(parts[Role.ATTN_K], parts[Role.ATTN_V]))
    return facts


def logical_shapes(blueprint: Blueprint, layer: int) -> dict[Role, tuple[int, ...]]:
    """(outputs, inputs) of every matrix of the layer."""
    return {
        role: spec.logical_shape for spec in layer_weights(blueprint, layer) for role in spec.roles
    }


def layer_weights(blueprint: Blueprint, layer: int) -> list[TensorSpec]:
    """The stored matrices of the layer."""
    return [
        spec
        for spec in blueprint.tensors
        if spec.layer == layer and spec.kind is Kind.WEIGHT and len(spec.shape) == 2
    ]
