"""What a model expects next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_ELEMENTS = 1 << 25


def next_logits(model: Any, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits of the token after each sequence: float32 (n, V).

    ids: int64 (n, T), sequences of one length, on the CPU as what is returned. One forward
    pass, the head at the last position alone; memory of n·V logits, so that callers take
    :func:`rows_at_once`. Deterministic for a fixed device and thread count.
    """
    device = next(model.parameters()).device
    with torch.inference_mode():
        batch = torch.from_numpy(ids).to(device)
        states = model.base_model(input_ids=batch, use_cache=False).last_hidden_state[:, -1]
        logits = model.get_output_embeddings()(states).float()
    found: NDArray[np.float32] = logits.cpu().numpy()
    return found


def rows_at_once(model: Any, length: int) -> int:
    """How many sequences of ``length`` tokens keep logits and units within 128 MiB, at least one.

    Each alone: a forward pass holds a few such arrays.
    """
    vocabulary = len(model.get_output_embeddings().weight)
    widths = (max(one.shape) for one in model.parameters() if vocabulary not in one.shape)
    return max(1, int(_ELEMENTS // max(vocabulary, length * max(widths))))
