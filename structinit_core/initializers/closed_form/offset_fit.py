"""The joint fit of bigram and offsets on the count tables, stopped by what held-out text says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.cooc import KneserNey
from structinit_core.corpus import spread
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.contexts import (
    Contexts,
    TextContexts,
    scored_contexts,
)
from structinit_core.initializers.closed_form.lag_tables import lag_tables
from structinit_core.initializers.closed_form.offset_gradient import (
    expected_moments,
    offset_gradient,
)
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.refit import adaptive_step
from structinit_core.initializers.closed_form.sampled_moments import SampledMoments
from structinit_core.initializers.closed_form.solver import EXACT_VOCABULARY, SAMPLED_COLUMNS
from structinit_core.linalg import generator
from structinit_core.progress import Progress

OFFSET_STEPS = 200
"""At most; fewer where held-out text stops gaining."""
_DRAWN_CONTEXTS = 4096
"""Contexts whose predictions a step sees, two a token if those are fewer."""
_PRIOR = 200.0
"""Occurrences that "adds nothing" counts as, for every source token at every lag."""
_ANCHOR = 30.0
"""Occurrences that the bigram's own output code counts as, for every token."""
_RATE = 0.2
"""Step length in units of each parameter's rms at the start."""
_BIGRAM_SHARE = 0.5
"""The same for the bigram's own codes, which are near their place."""
_RAMP = 5
_MEMORY = 0.9
"""Of the running mean of the iterates, which is what is judged and returned."""
_CHECK_STEPS, _PATIENCE = 20, 2
"""Steps from one look at held-out text to the next, and looks without a gain before the end."""
_CHECKED_TOKENS = 1 << 14
_WORTH_A_CHECK = 5e-4
"""Nats a look must gain on the best before it to count as a gain."""
_IDENTITY_SCALE = 0.3
"""Rms of the identity codes at the start over that of the prediction codes."""


def offsets_multiply_adds(vocabulary: int, rank: int) -> int:
    """Multiply-adds of the dense products of the fit, at most."""
    columns = vocabulary if vocabulary <= EXACT_VOCABULARY else SAMPLED_COLUMNS
    return OFFSET_STEPS * 3 * min(_DRAWN_CONTEXTS, 2 * vocabulary) * columns * rank


def fit_offsets(
    start: LogBilinear,
    model: KneserNey,
    lags: Sequence[int],
    identity: int,
    head_rank: int,
    *,
    windows: NDArray[np.int64],
    text: TextContexts | None = None,
    groups: int = 1,
    seed: int,
    progress: Progress,
    steps: int = OFFSET_STEPS,
    samples: dict[str, float] | None = None,
) -> OffsetModel:
    """Bigram codes, identity codes and offset maps, all fitted at once from a fitted bigram.

    The log-likelihood of the model on its n-grams is a sum over lags of observed moments,
    which the count tables hold exactly, minus log-normalisers of whole contexts. A step
    estimates the latter on contexts drawn from ``text``, or from the trigram counts where there
    is none or no run in it is long enough, and takes the former of
    the same source tokens, so that the two differ by what is still to be learnt only: no lag
    is counted twice, whatever the others predict. Source tokens that are rare are held near
    adding nothing by a prior, and rare followers near their output code. Per-coordinate
    adaptive steps as in :func:`~structinit_core.initializers.closed_form.refit.refit`:
    first-order on counts; no network takes part. Every 20 steps the running mean of the
    iterates is scored on the held-out ``windows``: the best is returned, and two looks without
    a gain end the fit. Without windows all steps are taken. ``lags``: one for each head, of
    rank ``head_rank``; ``groups`` heads share what they read. Above 16,384 tokens a step draws
    2,048 columns, and ``samples`` is told how many and with what error. Cost: 3·n·V·r
    multiply-adds a step for n ≤ 4,096 contexts; memory a block of logits, 24 bytes an entry of
    the tables, 40 a trigram. Deterministic for a seed, device and thread count. Source: ours;
    the tables are those of the closed-form prototype, section 3, and the model a log-bilinear
    one (Mnih & Hinton 2007) with shared low-rank maps.

    Raises:
        NumericalError: a parameter became NaN or infinite.
    """
    device, tokens = start.left.device, max(3, max(lags) + 1)
    tables = lag_tables(model, max(lags), device)
    draw = generator(seed, "closed-form", "contexts")
    drawn = min(_DRAWN_CONTEXTS, 2 * model.vocabulary)
    contexts: TextContexts | Contexts | None = text
    if contexts is None or len(contexts.draw(drawn, tokens, draw)) == 0:
        contexts = Contexts(model.counts)
    began = generator(seed, "closed-form", "offset maps")
    sampled = None
    if model.vocabulary > EXACT_VOCABULARY:
        columns = generator(seed, "closed-form", "offset columns")
        sampled = SampledMoments(tables[0].direct, model.unigram, SAMPLED_COLUMNS, columns)
    held_out = _held_out(model, windows, tokens, device)
    parameters = _start(start, lags, groups, identity, head_rank, began)
    right, hold = parameters[1].clone(), _anchor(parameters[0], tables[0].total)
    rates = _rates(parameters, len(lags))
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    average = [p.clone() for p in parameters]
    best, least, idle = average, np.inf, 0
    for step in range(1, steps + 1):
        ids = torch.from_numpy(contexts.draw(drawn, tokens, draw)).to(device)
        current = _model(parameters, lags, groups)
        gradients = offset_gradient(current, tables, ids, _PRIOR, sampled or expected_moments)
        gradients[1].addmm_(parameters[1] - right, hold)
        decay = min(1.0, step / _RAMP) * (1 - (step - 1) / steps)
        for at, slope in enumerate(gradients):
            length = rates[at] * decay
            adaptive_step(parameters[at], slope, means[at], squares[at], step, length)
            average[at].lerp_(parameters[at], max(1 - _MEMORY, 1 / step))
        progress.advance()
        if held_out is not None and (step % _CHECK_STEPS == 0 or step == steps):
            after = _model(average, lags, groups).loss(*held_out)
            idle = 0 if after < least - _WORTH_A_CHECK else idle + 1
            if after < least:
                best, least = [p.clone() for p in average], after
            if idle == _PATIENCE:
                break
    if not all(bool(torch.isfinite(p).all()) for p in (*parameters, *best)):
        raise NumericalError("the fit of the offsets gave NaN or infinity")
    if sampled is not None and samples is not None:
        samples |= {
            "offset_columns": SAMPLED_COLUMNS,
            "offset_columns_certain_mass": sampled.certain_mass,
            "offset_log_normalizer_error": sampled.error,
        }
    return _model(best, lags, groups)


def _held_out(
    model: KneserNey, windows: NDArray[np.int64], length: int, device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """Contexts and followers that judge the fit, if there are any."""
    if len(windows) == 0:
        return None
    sample = spread(windows, _CHECKED_TOKENS)
    found = scored_contexts(model.counts.held_out, sample, length, model.vocabulary)
    contexts, following = (torch.from_numpy(part).to(device) for part in found)
    return contexts, following


def _anchor(left: Tensor, total: Tensor) -> Tensor:
    """Slope of an output code in its distance from where it began: (r, r)."""
    share = total / total.sum()
    return (_ANCHOR / float(total.sum())) * (left.T @ (share.unsqueeze(1) * left))


def _start(
    codes: LogBilinear,
    lags: Sequence[int],
    groups: int,
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
    reads = [normal(head_rank, width, width**-0.5) for _ in range(-(-len(lags) // groups))]
    writes = [left.new_zeros(rank, head_rank) for _ in lags]
    return [left, right, codes.bias.clone(), codes_f, *reads, *writes]


def _rates(parameters: Sequence[Tensor], heads: int) -> list[float]:
    """Step length of each parameter; the bias and the writes take the prediction codes' scale."""
    scales = [float(p.square().mean().sqrt()) for p in parameters[:-heads]]
    codes, reads = scales[0], scales[4:]
    return [_RATE * s for s in (*[_BIGRAM_SHARE * codes] * 3, codes, *reads, *[codes] * heads)]


def _model(parameters: Sequence[Tensor], lags: Sequence[int], groups: int) -> OffsetModel:
    left, right, bias, identity, *maps = parameters
    codes, heads = LogBilinear(left, right, bias), len(lags)
    return OffsetModel(
        codes, identity, tuple(lags), tuple(maps[:-heads]), tuple(maps[-heads:]), groups
    )
