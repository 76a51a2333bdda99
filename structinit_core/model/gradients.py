"""The gradient of a model: of the first training step, and the present one by tensor and layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from structinit_core.blueprint import Blueprint, Role, TensorSpec
from structinit_core.errors import NumericalError


def gradient_norm(model: Any, ids: torch.Tensor) -> float:
    """Norm of the mean next-token loss's gradient over all parameters, without dropout.

    ``ids``: int64 (n, T), one batch. Memory: the model twice, and the activations of the batch.

    Raises:
        NumericalError: it is not finite.
    """
    device = next(model.parameters()).device
    model.zero_grad(set_to_none=True)
    with torch.enable_grad():
        logits = model(input_ids=ids.to(device), use_cache=False).logits[:, :-1].float()
        targets = ids[:, 1:].to(device)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        torch.autograd.backward(loss)
    squares = [
        parameter.grad.double().square().sum()
        for parameter in model.parameters()
        if parameter.grad is not None
    ]
    model.zero_grad(set_to_none=True)
    norm = float(torch.stack(squares).sum().sqrt())
    if not math.isfinite(norm):
        raise NumericalError("the model's gradient is not finite")
    return norm


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
