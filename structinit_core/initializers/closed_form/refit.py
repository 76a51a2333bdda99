"""Refit of the codes on the count table: first-order on counts, in row blocks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.cooc import KneserNey
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows, row_mass
from structinit_core.initializers.closed_form.sampling import Sample
from structinit_core.progress import Progress

REFIT_STEPS = 32
_RATE = 0.28
"""Step length in units of the codes' common rms."""
_RAMP = 5
_MOMENTUM, _SQUARES = 0.8, 0.95
_NOISE = 1e-18
"""Gradients below this are rounding: the rarest row's real ones are about 1e-13."""


@dataclass(frozen=True)
class TargetTable:
    """The KN rows as mass-weighted sparse part plus rank one: never a V×V array.

    p_a·P(b|a) = direct_ab + rest_a·lower_b. direct and its transpose: sparse CSR (V, V);
    mass p_a, rest p_a·λ_a, lower p_kn(b), marginal Σ_a p_a·P(b|a): (V,). All float32.
    """

    direct: Tensor
    transposed: Tensor
    mass: Tensor
    rest: Tensor
    lower: Tensor
    marginal: Tensor


Gradients = tuple[Tensor, Tensor, Tensor]
"""Of left (V, r), right (V, r) and bias (V,)."""


def target_table(model: KneserNey, device: torch.device) -> TargetTable:
    """The KN bigram of ``model`` as a table on ``device``; memory two copies of its nnz."""
    mass = row_mass(model)
    direct = sp.csr_array(sp.diags_array(mass) @ model.direct())
    rest = mass * model.backoff
    marginal = np.asarray(direct.sum(axis=0)).ravel() + model.continuation * rest.sum()

    def vector(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device)

    return TargetTable(
        sparse(direct, device),
        sparse(sp.csr_array(direct.T), device),
        vector(mass),
        vector(rest),
        vector(model.continuation),
        vector(marginal),
    )


def table_gradient(codes: LogBilinear, table: TargetTable) -> Gradients:
    """Exact gradients of the table loss: of left (V, r), right (V, r) and bias (V,)."""
    left, right, _ = codes.left, codes.right, codes.bias
    grad_left = torch.outer(table.rest, right.T @ table.lower).neg_()
    grad_left -= table.direct @ right
    grad_right = torch.outer(table.lower, left.T @ table.rest).neg_()
    grad_right -= table.transposed @ left
    grad_bias = -table.marginal
    rows = block_rows(len(codes.bias))
    for low in range(0, len(left), rows):
        model_block_gradient(codes, table.mass, low, rows, grad_left, grad_right, grad_bias)
    return grad_left, grad_right, grad_bias


def refit(
    start: LogBilinear,
    table: TargetTable,
    progress: Progress,
    steps: int = REFIT_STEPS,
    gradient: Callable[[LogBilinear, TargetTable], Gradients] = table_gradient,
) -> LogBilinear:
    """Codes that lower Σ_a p_a·KL(P_a ‖ softmax(X·Wᵀ + b)_a) from ``start``, all at once.

    ``steps`` gradients of the table with per-coordinate adaptive steps (β .8/.95, a ramp of 5
    steps, then a quadratic decay to a tenth): variant B of the closed-form prototype's
    section 2. It is iterative first-order optimisation of a small model on counts; no text
    and no network takes part. Cost: that of ``gradient``, exactly 3·V²·r multiply-adds a step;
    memory a block of logits and six copies of the codes. Deterministic for a fixed device and
    thread count.

    Raises:
        NumericalError: the codes became NaN or infinite.
    """
    if not bool(start.left.any()):
        return start  # a table of equal rows: the bias says it all
    balance = (_rms(start.right) / _rms(start.left)).sqrt()
    parameters = [start.left * balance, start.right / balance, start.bias.clone()]
    rate = _RATE * float(_rms(parameters[0]))
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    for step in range(1, steps + 1):
        decay = 1 - 0.9 * ((step - 1) / steps) ** 2
        length = rate * min(1.0, step / _RAMP) * decay
        slopes = gradient(LogBilinear(*parameters), table)
        for value, slope, mean, square in zip(parameters, slopes, means, squares, strict=True):
            adaptive_step(value, slope, mean, square, step, length)
        del slope, slopes  # the next ones need the room
        progress.advance()
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise NumericalError("the refit on the count table gave NaN or infinity")
    return LogBilinear(*parameters)


def table_loss(codes: LogBilinear, table: TargetTable, rows: Sample) -> float:
    """Σ_a p_a·H(P_a, softmax(X·Wᵀ + b)_a) in nats: what :func:`refit` lowers.

    Only the log-normalisers are taken from the contexts ``rows``; the rest is exact. Cost V·r
    a row.
    """
    left, right, bias = codes.left, codes.right, codes.bias
    weights = torch.from_numpy(rows.weights(table.mass.cpu().numpy())).to(bias.device)
    items, total, step = torch.from_numpy(rows.items).to(bias.device), 0.0, block_rows(len(bias))
    for block, weight in zip(torch.split(items, step), torch.split(weights, step), strict=True):
        total += float(weight @ torch.logsumexp(codes.logits(block), dim=1).double())
    total -= float((left * (table.direct @ right)).sum())
    total -= float((left.T @ table.rest) @ (right.T @ table.lower))
    return total - float(table.marginal @ bias)


def model_block_gradient(
    codes: LogBilinear,
    mass: Tensor,
    low: int,
    rows: int,
    grad_left: Tensor,
    grad_right: Tensor,
    grad_bias: Tensor,
) -> None:
    """Add the model's side of the gradient for one block of rows, in place."""
    rows = min(rows, len(codes.left) - low)
    block = codes.left.narrow(0, low, rows)
    logits = torch.addmm(codes.bias, block, codes.right.T)
    logits -= logits.amax(dim=1, keepdim=True)
    joint = logits.exp_()
    joint *= (mass.narrow(0, low, rows) / joint.sum(dim=1)).unsqueeze(1)
    grad_left.narrow(0, low, rows).addmm_(joint, codes.right)
    grad_right.addmm_(joint.T, block)
    grad_bias += joint.sum(dim=0)


def adaptive_step(
    value: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int, length: float
) -> None:
    """One bias-corrected per-coordinate step (Kingma & Ba 2015, algorithm 1), in place."""
    mean.mul_(_MOMENTUM).add_(gradient, alpha=1 - _MOMENTUM)
    square.mul_(_SQUARES).addcmul_(gradient, gradient, value=1 - _SQUARES)
    size = (square / (1 - _SQUARES**step)).sqrt_().add_(_NOISE)
    value.addcdiv_(mean, size, value=-length / (1 - _MOMENTUM**step))


def _rms(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()


def sparse(matrix: sp.csr_array, device: torch.device) -> Tensor:
    """The matrix in float32 on ``device``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its CSR support beta
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            device=device,
        )
