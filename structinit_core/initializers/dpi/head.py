"""Phase 5: the head in the whitened coordinates of the last layer's output."""

from __future__ import annotations

import torch
from torch import Tensor

from structinit_core.initializers.dpi.bases import manifold

_RIDGE = 1e-5


def whitened(head: Tensor, stream: Tensor) -> Tensor:
    """(head − μ)·C^(−½) for mean μ and covariance C of ``stream`` (n, d): float32 (V, d).

    ZCA with 10⁻⁵ added to the variances. Source: seed 001, phase 5, as its code has it: the
    mean of activations is taken from the rows of the head. Cost: V·d² and one
    eigendecomposition.
    """
    centred = head.to(stream.device) - stream.mean(dim=0)
    return centred @ manifold(stream).whitener(_RIDGE)


def head_losses(normed: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood in nats of ``targets`` (n,) after normed states (n, d)."""
    losses = []
    rows = max(1, (1 << 24) // len(head))
    for block, wanted in zip(torch.split(normed, rows), torch.split(targets, rows), strict=True):
        logits = block @ head.T
        losses.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
    return torch.cat(losses)
