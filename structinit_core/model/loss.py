"""Forward loss of a model over scored windows: its step-0 loss before any training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError, InputError, NumericalError
from structinit_core.progress import Progress

_LOGIT_ELEMENTS = 1 << 24


def forward_loss(
    model: torch.nn.Module,
    vocabulary: int,
    stream: TokenStream,
    windows: NDArray[np.int64],
    progress: Progress,
) -> float:
    """Mean negative log-likelihood in nats of the windows' scored tokens, summed in float64.

    ``vocabulary`` is the model's number of logits. Windows of a batch are padded on the
    right, which a causal model does not see. Memory: blocks of at most 2²⁴ logits.
    Deterministic for a fixed device and thread count.

    Raises:
        InputError: no scored token.
        IncompatibleError: a token the model has no row for.
        NumericalError: the loss is not finite.
    """
    if len(windows) == 0:
        raise InputError("the text holds no document of two tokens to score")
    if int(stream.ids.max()) >= vocabulary:
        raise IncompatibleError(
            f"the text holds token {int(stream.ids.max())}, the model has {vocabulary} rows"
        )
    device = next(model.parameters()).device
    longest = int((windows[:, 1] - windows[:, 0]).max())
    batch = max(1, _LOGIT_ELEMENTS // (longest * vocabulary))
    total, scored = 0.0, 0
    for low in range(0, len(windows), batch):
        ids, targets = _batch(stream, windows[low : low + batch])
        total += _batch_loss(model, ids.to(device), targets.to(device), vocabulary)
        scored += int((targets != -100).sum())
        progress.advance(len(ids))
    mean = total / scored
    if not math.isfinite(mean):
        raise NumericalError("the model's loss is not finite")
    return mean


def _batch_loss(model: Any, ids: torch.Tensor, targets: torch.Tensor, vocabulary: int) -> float:
    """Summed loss of one batch; the head is applied to a few positions at a time."""
    total = 0.0
    with torch.inference_mode():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        head = model.get_output_embeddings()
        rows = max(1, _LOGIT_ELEMENTS // vocabulary)
        blocks = (torch.split(flat, rows) for flat in (hidden.flatten(0, 1), targets.flatten()))
        for states, wanted in zip(*blocks, strict=True):
            losses = torch.nn.functional.cross_entropy(
                head(states).float(), wanted, ignore_index=-100, reduction="none"
            )
            total += float(losses.double().sum())
    return total


def _batch(stream: TokenStream, windows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (n, T) padded with 0, and next-token targets (n, T−1) padded with −100."""
    longest = int((windows[:, 1] - windows[:, 0]).max())
    ids = np.zeros((len(windows), longest), np.int64)
    targets = np.full((len(windows), longest - 1), -100, np.int64)
    for row, (start, stop) in enumerate(windows.tolist()):
        ids[row, : stop - start] = stream.ids[start:stop]
        targets[row, : stop - start - 1] = stream.ids[start + 1 : stop]
    return torch.from_numpy(ids), torch.from_numpy(targets)
