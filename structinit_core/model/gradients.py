"""The present gradient of a model, by the blueprint's tensors and layers."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from structinit_core.blueprint import Blueprint, Role, TensorSpec


def tensor_gradients(
    model: torch.nn.Module, blueprint: Blueprint
) -> Iterator[tuple[TensorSpec, torch.Tensor]]:
    """Every stored tensor that has a gradient, in blueprint order; a tied head is its embedding."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for spec in blueprint.tensors:
        # GPT-NeoX's head has another name in memory than in the file.
        name = "lm_head.weight" if Role.HEAD in spec.roles else spec.name
        if name in found:
            yield spec, found[name]


def gradient_norms(model: torch.nn.Module, blueprint: Blueprint) -> dict[str, float]:
    """Euclidean norm of the present gradient by layer: ``embed``, ``layer 0`` …, ``head``."""
    squares = dict.fromkeys(map(_layer_name, blueprint.tensors), 0.0)
    for spec, gradient in tensor_gradients(model, blueprint):
        squares[_layer_name(spec)] += float(gradient.double().square().sum())
    return {layer: square**0.5 for layer, square in squares.items()}


def _layer_name(spec: TensorSpec) -> str:
    """The layer of a tensor: ``embed``, ``layer 0`` …, ``head`` (the final norm with it)."""
    if spec.layer is not None:
        return f"layer {spec.layer}"
    return "embed" if spec.roles[0] in (Role.EMBED, Role.POSITION) else "head"
