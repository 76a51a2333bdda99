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
_UNSCORED = -100


def forward_loss(
    model: torch.nn.Module,
    vocabulary: int,
    stream: TokenStream,
    windows: NDArray[np.int64],
    progress: Progress,
) -> float:
    """Mean of :func:`token_losses`, summed in float64.

    Raises:
        NumericalError: the loss is not finite; and as there.
    """
    return mean_loss(token_losses(model, vocabulary, stream, windows, progress))


def mean_loss(losses: NDArray[np.float32]) -> float:
    """The mean of token losses, summed in float64.

    Raises:
        NumericalError: it is not finite.
    """
    mean = float(losses.mean(dtype=np.float64))
    if not math.isfinite(mean):
        raise NumericalError("the model's loss is not finite")
    return mean


def token_losses(
    model: torch.nn.Module,
    vocabulary: int,
    stream: TokenStream,
    windows: NDArray[np.int64],
    progress: Progress,
) -> NDArray[np.float32]:
    """Negative log-likelihood in nats of each scored token, in the order of their positions.

    ``vocabulary`` is the model's number of logits. Windows of a batch are padded on the
    right, which a causal model does not see. Memory: blocks of at most 2²⁴ logits, and 4
    bytes a scored token. Deterministic for a fixed device and thread count.

    Raises:
        InputError: no scored token.
        IncompatibleError: a token the model has no row for.
    """
    if len(windows) == 0:
        raise InputError("the text holds no document of two tokens to score")
    check_tokens(stream.ids, vocabulary)
    device = next(model.parameters()).device
    longest = int((windows[:, 1] - windows[:, 0]).max())
    batch = max(1, _LOGIT_ELEMENTS // (longest * vocabulary))
    losses = []
    for low in range(0, len(windows), batch):
        ids, targets = _batch(stream, windows[low : low + batch])
        losses += _batch_losses(model, ids.to(device), targets.to(device), vocabulary)
        progress.advance(len(ids))
    return np.concatenate(losses)


def check_tokens(ids: NDArray[Any], vocabulary: int) -> None:
    """Refuse tokens that a model of ``vocabulary`` rows has none for.

    Raises:
        IncompatibleError: naming the largest.
    """
    if int(ids.max()) >= vocabulary:
        raise IncompatibleError(
            f"the text holds token {int(ids.max())}, the model has {vocabulary} rows"
        )


def _batch_losses(
    model: Any, ids: torch.Tensor, targets: torch.Tensor, vocabulary: int
) -> list[NDArray[np.float32]]:
    """Losses of one batch; the head is applied to a few positions at a time."""
    losses = []
    with torch.inference_mode():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        head = model.get_output_embeddings()
        wanted = targets.flatten()
        states = hidden.flatten(0, 1)[wanted != _UNSCORED]
        wanted = wanted[wanted != _UNSCORED]
        rows = max(1, _LOGIT_ELEMENTS // vocabulary)
        for block, target in zip(torch.split(states, rows), torch.split(wanted, rows), strict=True):
            logits = head(block).float()
            loss = torch.nn.functional.cross_entropy(logits, target, reduction="none")
            losses.append(loss.cpu().numpy())
    return losses


def _batch(stream: TokenStream, windows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (n, T) padded with 0, and next-token targets (n, T−1) padded with −100."""
    longest = int((windows[:, 1] - windows[:, 0]).max())
    ids = np.zeros((len(windows), longest), np.int64)
    targets = np.full((len(windows), longest - 1), _UNSCORED, np.int64)
    for row, (start, stop) in enumerate(windows.tolist()):
        ids[row, : stop - start] = stream.ids[start:stop]
        targets[row, : stop - start - 1] = stream.ids[start + 1 : stop]
    return torch.from_numpy(ids), torch.from_numpy(targets)
