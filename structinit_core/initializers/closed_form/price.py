"""What attention and norms cost of the offsets, against the model that was fitted."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.corpus import TokenStream
from structinit_core.initializers.closed_form.codes import block_rows
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.offsets import OffsetModel


def offset_costs(
    network: Network, stream: TokenStream, windows: NDArray[np.int64]
) -> dict[str, float]:
    """How well the heads of a network look, and what that costs on the windows.

    attention.mean_mass and attention.least_mass: share of a head's attention that reaches
    the token its lag back, over all queries that have one. attention.largest_logit: the
    largest score. In nats: cost.attention, of the fitted model with the attention of the
    heads; cost.norm, of the rest, which is that norms are not constant, long codes are
    clipped and, with a tied head, the lift is not exact, less what the held-out gain brings;
    cost.attention_and_norm, their sum.
    """
    model = network.stream.offsets
    if model is None:
        return {}
    ideal = attended = 0.0
    mass, least, largest, looked, count = 0.0, 1.0, -np.inf, 0, 0
    first = [head for head in network.stream.heads if head.layer == 0]
    heads = sorted(first, key=lambda head: head.index)
    additions = list(model.additions())
    for ids, known in network.batches(stream, windows):
        normed = network.normalised(_embedded(network, ids))
        sought = model.codes.left[ids]
        found = sought.clone()
        for head, lag, added in zip(heads, model.lags, additions, strict=False):
            scores, codes = network.scores(head, normed), added[ids]
            weights = torch.softmax(scores, dim=2)
            sought[:, lag:] += codes[:, : codes.shape[1] - lag]
            found += weights @ codes
            reached = torch.diagonal(weights, -lag, dim1=1, dim2=2)[known[:, lag:]]
            largest = max(largest, float(scores[known].max()))
            if len(reached):
                mass, least = mass + float(reached.double().sum()), min(least, float(reached.min()))
                looked += len(reached)
        scored, following = known[:, 1:], ids[:, 1:][known[:, 1:]]
        ideal += _total(model, sought[:, :-1][scored], following)
        attended += _total(model, found[:, :-1][scored], following)
        count += len(following)
    count = max(count, 1)
    total = network.loss(stream, windows) - ideal / count
    return {
        "attention.mean_mass": mass / max(looked, 1),
        "attention.least_mass": least,
        "attention.largest_logit": largest,
        "cost.attention": (attended - ideal) / count,
        "cost.norm": total - (attended - ideal) / count,
        "cost.attention_and_norm": total,
    }


def _embedded(network: Network, ids: Tensor) -> Tensor:
    hidden, position = network.stream.embed[ids], network.stream.position
    return hidden if position is None else hidden + position[: ids.shape[1]]


def _total(model: OffsetModel, states: Tensor, following: Tensor) -> float:
    """Negative log-likelihood of the tokens after ``states`` (n, r), in nats, summed."""
    codes, rows, total = model.codes, block_rows(len(model.codes.bias)), 0.0
    for block, after in zip(torch.split(states, rows), torch.split(following, rows), strict=True):
        log_p = torch.log_softmax(torch.addmm(codes.bias, block, codes.right.T), dim=1)
        total -= float(log_p.gather(1, after[:, None]).double().sum())
    return total
