"""Offset codes: what older tokens add to the bigram, fitted with it on the count tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from structinit_core.cooc import KneserNey
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form.codes import LogBilinear, block_rows
from structinit_core.initializers.closed_form.contexts import Contexts
from structinit_core.initializers.closed_form.refit import adaptive_step, sparse
from structinit_core.linalg import generator
from structinit_core.progress import Progress

OFFSET_STEPS = 240
_DRAWN_CONTEXTS = 4096
"""Contexts whose predictions a step sees, two a token if those are fewer."""
_RATE = 0.1
"""Step length in units of each parameter's rms at the start."""
_BIGRAM_SHARE = 0.5
"""The same for the bigram's own codes, which are near their place."""
_RAMP = 5
_IDENTITY_SCALE = 0.3
"""Rms of the identity codes at the start over that of the prediction codes."""


@dataclass(frozen=True)
class OffsetModel:
    """P(b | x_t, x_{t-1}, …) = softmax_b(w_b·(x_{x_t} + Σ_h M_h·[x; f]_{x_{t-lag h}}) + b_b).

    codes: the bigram; identity: codes f, (V, c). One entry a head: ``lags`` ≥ 1; ``read``
    (k, r+c) and ``write`` (r, k) with M_h = write·read. All float32.
    """

    codes: LogBilinear
    identity: Tensor
    lags: tuple[int, ...]
    read: tuple[Tensor, ...]
    write: tuple[Tensor, ...]

    def to(self, device: torch.device) -> OffsetModel:
        """The same model on ``device``."""
        return OffsetModel(
            self.codes.to(device),
            self.identity.to(device),
            self.lags,
            tuple(part.to(device) for part in self.read),
            tuple(part.to(device) for part in self.write),
        )

    @property
    def source(self) -> Tensor:
        """What a head reads of each token, [x; f]: (V, r+c)."""
        return torch.cat((self.codes.left, self.identity), dim=1)

    def additions(self) -> Iterator[Tensor]:
        """What each head adds to the prediction code for each source token: (V, r)."""
        source = self.source
        for read, write in zip(self.read, self.write, strict=True):
            yield (source @ read.T) @ write.T


@dataclass(frozen=True)
class LagTable:
    """P(b | a) at one lag as sparse part plus rank one, with its transpose.

    P(b|a) = direct_ab + rest_a·lower_b: sparse CSR (V, V), (V,), (V,); float32.
    """

    direct: Tensor
    transposed: Tensor
    rest: Tensor
    lower: Tensor


def lag_tables(model: KneserNey, lags: int, device: torch.device) -> list[LagTable]:
    """The KN bigram, then the counted shares at lags 1 to ``lags``; memory 24 bytes an entry."""
    rows = [sp.csr_array(model.direct())]
    for counted in model.counts.offsets[1 : lags + 1]:
        totals = np.asarray(counted.sum(axis=1), np.float64).ravel()
        rows.append(sp.csr_array(sp.diags_array(1 / np.maximum(totals, 1)) @ counted))
    lower = torch.from_numpy(model.continuation.astype(np.float32)).to(device)
    rest = torch.from_numpy(model.backoff.astype(np.float32)).to(device)
    return [
        LagTable(
            sparse(table, device),
            sparse(sp.csr_array(table.T), device),
            torch.zeros_like(rest) if at else rest,
            lower,
        )
        for at, table in enumerate(rows)
    ]


def fit_offsets(
    start: LogBilinear,
    model: KneserNey,
    lags: Sequence[int],
    identity: int,
    head_rank: int,
    *,
    seed: int,
    progress: Progress,
    steps: int = OFFSET_STEPS,
) -> OffsetModel:
    """Bigram codes, identity codes and offset maps, all fitted at once from a fitted bigram.

    The log-likelihood of the model on its n-grams is a sum over lags of observed moments,
    which the count tables hold exactly, minus log-normalisers of whole contexts. A step
    estimates the latter on contexts drawn from the trigram counts, and takes the former of
    the same source tokens, so that the two differ by what is still to be learnt only: no lag
    is counted twice, whatever the others predict. Per-coordinate adaptive steps as in
    :func:`~structinit_core.initializers.closed_form.refit.refit`: first-order on counts; no
    text and no network takes part. ``lags``: one for each head, of rank ``head_rank``. Cost:
    3·n·V·r multiply-adds a step for n ≤ 4,096 contexts; memory a block of logits, 24 bytes an
    entry of the tables, 40 a trigram. Deterministic for a seed, device and thread count.
    Source: ours; the tables are those of the closed-form prototype, section 3, and the model
    a log-bilinear one (Mnih & Hinton 2007) with shared low-rank maps.

    Raises:
        NumericalError: a parameter became NaN or infinite.
    """
    device = start.left.device
    tables = lag_tables(model, max(lags), device)
    contexts = Contexts(model.counts)
    draw = generator(seed, "closed-form", "contexts")
    began = generator(seed, "closed-form", "offset maps")
    parameters = _start(start, lags, identity, head_rank, began)
    scales = [float(p.square().mean().sqrt()) for p in parameters]
    codes, heads = scales[0], len(lags)
    rates = [_RATE * s for s in (*[_BIGRAM_SHARE * codes] * 3, codes)]
    rates += [_RATE * s for s in (*scales[4 : 4 + heads], *[codes] * heads)]
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    drawn, tokens = min(_DRAWN_CONTEXTS, 2 * model.vocabulary), max(3, max(lags) + 1)
    for step in range(1, steps + 1):
        ids = torch.from_numpy(contexts.draw(drawn, tokens, draw))
        gradients = offset_gradient(_model(parameters, lags), tables, ids.to(device))
        decay = min(1.0, step / _RAMP) * (1 - (step - 1) / steps)
        for at, slope in enumerate(gradients):
            length = rates[at] * decay
            adaptive_step(parameters[at], slope, means[at], squares[at], step, length)
        progress.advance()
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise NumericalError("the fit of the offsets gave NaN or infinity")
    return _model(parameters, lags)


def offset_gradient(model: OffsetModel, tables: Sequence[LagTable], ids: Tensor) -> list[Tensor]:
    """Gradients of left, right, bias, identity, every read and every write.

    ids: drawn contexts, newest token first, int64 (n, lags + 1) or wider.
    """
    codes, source = model.codes, model.source
    inner = [source @ read.T for read in model.read]
    sums = [codes.left, *(torch.zeros_like(codes.left) for _ in tables[1:])]
    for lag, hidden, write in zip(model.lags, inner, model.write, strict=True):
        sums[lag].addmm_(hidden, write.T)
    states = torch.stack([each[ids[:, lag]] for lag, each in enumerate(sums)]).sum(dim=0)
    grad_states, grad_right, grad_bias = expected_moments(codes, states)
    slopes = []
    for lag, (each, table) in enumerate(zip(sums, tables, strict=True)):
        share = torch.bincount(ids[:, lag], minlength=len(each)).to(each) / len(ids)
        observed = table.direct @ codes.right + torch.outer(table.rest, table.lower @ codes.right)
        slope = (share.unsqueeze(1) * observed).neg_()
        slopes.append(slope.index_add_(0, ids[:, lag], grad_states))
        weighted = share.unsqueeze(1) * each
        grad_right -= table.transposed @ weighted
        grad_right -= torch.outer(table.lower, table.rest @ weighted)
        if lag == 0:
            grad_bias -= (table.transposed @ share.unsqueeze(1)).squeeze(1)
            grad_bias -= table.lower * (table.rest @ share)
    grad_source = torch.zeros_like(source)
    reads, writes = [], []
    for lag, hidden, read, write in zip(model.lags, inner, model.read, model.write, strict=True):
        back = slopes[lag] @ write
        reads.append(back.T @ source)
        writes.append(slopes[lag].T @ hidden)
        grad_source.addmm_(back, read)
    rank = codes.left.shape[1]
    grad_left = slopes[0] + grad_source[:, :rank]
    return [grad_left, grad_right, grad_bias, grad_source[:, rank:], *reads, *writes]


def expected_moments(codes: LogBilinear, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the mean log-normaliser of ``states`` (n, r): of states, right and bias."""
    grad_states = torch.empty_like(states)
    grad_right, grad_bias = torch.zeros_like(codes.right), torch.zeros_like(codes.bias)
    rows = block_rows(len(codes.bias))
    for block, slope in zip(torch.split(states, rows), torch.split(grad_states, rows), strict=True):
        p = torch.softmax(torch.addmm(codes.bias, block, codes.right.T), dim=1)
        p /= len(states)
        torch.mm(p, codes.right, out=slope)
        grad_right.addmm_(p.T, block)
        grad_bias += p.sum(dim=0)
    return grad_states, grad_right, grad_bias


def _start(
    codes: LogBilinear,
    lags: Sequence[int],
    identity: int,
    head_rank: int,
    draw: np.random.Generator,
) -> list[Tensor]:
    """The fitted bigram with balanced factors, random identity codes and reads, no write."""
    left, right = codes.left, codes.right
    balance = (right.square().mean() / left.square().mean()) ** 0.25
    left, right = left * balance, right / balance
    tokens, rank = left.shape
    deviation = _IDENTITY_SCALE * float(left.square().mean().sqrt())

    def normal(rows: int, columns: int, scale: float) -> Tensor:
        drawn = scale * draw.standard_normal((rows, columns), dtype=np.float32)
        return torch.from_numpy(drawn).to(left.device)

    width = rank + identity
    codes_f = normal(tokens, identity, deviation)
    reads = [normal(head_rank, width, width**-0.5) for _ in lags]
    writes = [left.new_zeros(rank, head_rank) for _ in lags]
    return [left, right, codes.bias.clone(), codes_f, *reads, *writes]


def _model(parameters: Sequence[Tensor], lags: Sequence[int]) -> OffsetModel:
    left, right, bias, identity, *maps = parameters
    reads, writes = maps[: len(lags)], maps[len(lags) :]
    return OffsetModel(
        LogBilinear(left, right, bias), identity, tuple(lags), tuple(reads), tuple(writes)
    )
