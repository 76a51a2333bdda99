"""What the head reads of the stream, and what its reading leaves of a target to predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.pair_contexts import PairContexts
from structinit_core.initializers.closed_form.parts import as_float
from structinit_core.initializers.closed_form.sampled_moments import SampledMoments


@dataclass(frozen=True)
class Reading:
    """What the head reads of the stream: basis (d, r+1), codes and then the carrier of biases.

    columns: (V, r+1), what it reads them with: logits = (norm(h) + shift)·basis·columnsᵀ.
    """

    basis: Tensor
    columns: Tensor
    shift: Tensor

    def of(self, normed: Tensor) -> Tensor:
        """Codes and carrier in the normalised stream: (n, r+1)."""
        return (normed + self.shift) @ self.basis


@dataclass(frozen=True)
class Residual:
    """What is left to predict, in the codes' coordinates and units of the stream.

    slope: target − prediction of each context, (n, r); curvature: the mean Gauss-Newton
    matrix (r, r); loss: cross-entropy against the target in nats, (n,).
    """

    slope: Tensor
    curvature: Tensor
    loss: Tensor


def read_by_head(network: Network, vocabulary: int) -> Reading:
    """What the head of ``network`` reads, of the first ``vocabulary`` tokens.

    What a tied one reads of codes that the lift has not quite erased is left out.
    """
    stream = network.stream
    device = stream.embed.device
    codes = as_float(stream.coordinates.output).to(device)
    basis = torch.cat((codes, stream.carrier[:, None]), dim=1)
    shift = stream.carrier.new_zeros(len(basis))
    if stream.final_bias is not None:
        shift = stream.final_bias
    return Reading(basis, stream.unembed[:vocabulary] @ basis, shift)


def left_over(
    network: Network,
    hidden: Tensor,
    reading: Reading,
    pairs: PairContexts,
    drawn: SampledMoments | None = None,
) -> Residual:
    """What the head's reading of ``hidden``, (n, d), leaves of the pairs' targets.

    With ``drawn`` the prediction is estimated from the columns it draws, else it is exact.
    """
    normed, rank = network.normalised(hidden), reading.basis.shape[1] - 1
    codes, columns, states = reading.basis.narrow(1, 0, rank), reading.columns, reading.of(normed)
    lengths = [(each @ codes).square().sum(dim=1) for each in (normed, hidden)]
    scale = (lengths[0] / lengths[1].clamp(min=1e-12)).sqrt()
    mass = pairs.weight * scale.square()
    if drawn is None:
        means, marginal, log_z = predicted(columns, states, mass)
    else:
        read = LogBilinear(states, columns, columns.new_zeros(len(columns)))
        (means, _, marginal), log_z = drawn.weighted(read, states, pairs.ids.select(1, -1), mass)
        means /= mass.unsqueeze(1)
    right, means = columns.narrow(1, 0, rank), means.narrow(1, 0, rank)
    return Residual(
        (pairs.target.narrow(1, 0, rank) - means) * scale.unsqueeze(1),
        (right * marginal.unsqueeze(1)).T @ right - (means * mass.unsqueeze(1)).T @ means,
        log_z - (states * pairs.target).sum(dim=1),
    )


def predicted(columns: Tensor, states: Tensor, mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_c P(c)·columns_c of each state, (n, r+1), Σ mass·P, (V,), and log Z, (n,); n·V·r."""
    means, log_z, marginal = [], [], columns.new_zeros(len(columns))
    blocks = (torch.split(part, block_rows(len(columns))) for part in (states, mass))
    for block, share in zip(*blocks, strict=True):
        logits = block @ columns.T
        log_z.append(torch.logsumexp(logits, dim=1))
        p = logits.sub_(log_z[-1].unsqueeze(1)).exp_()
        means.append(p @ columns)
        marginal += share @ p
    return torch.cat(means), marginal, torch.cat(log_z)
