"""The gradient that a first training step would see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structinit_core.errors import NumericalError


def gradient_norm(model: Any, ids: Tensor) -> float:
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
    if norm != norm or norm == float("inf"):
        raise NumericalError("the model's gradient is not finite")
    return norm
