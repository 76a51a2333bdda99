"""Text windows, the token that follows each, and two masked views of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.errors import InputError
from structinit_core.initializers.paired_views.config import PairedViewsConfig
from structinit_core.linalg import Device, generator

_TOKENS_AT_ONCE = 8192


@dataclass(frozen=True)
class TextWindows:
    """Windows of ``context`` tokens of a stream, each with the token after it as its target.

    ids: the stream, of any unsigned dtype. starts: int64 (n,), ascending. Blocks always hold
    the same windows, whatever the memory, so that sums over them always round alike.
    """

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    context: int

    @property
    def targets(self) -> NDArray[np.int64]:
        """Stream positions of the tokens to predict, int64 (n,)."""
        return self.starts + self.context

    @property
    def at_once(self) -> int:
        """Windows in a block."""
        return max(1, _TOKENS_AT_ONCE // self.context)

    @property
    def count(self) -> int:
        """Blocks."""
        return -(-len(self.starts) // self.at_once)

    def take(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The windows of these numbers and their targets: int64 (b, T) and (b,)."""
        rows = self.starts[chosen][:, None] + np.arange(self.context + 1)
        tokens = torch.from_numpy(self.ids[rows].astype(np.int64))
        return tokens[:, :-1], tokens[:, -1]

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All windows with their targets, in order, a block at a time."""
        for low in range(0, len(self.starts), self.at_once):
            yield self.take(np.arange(low, min(low + self.at_once, len(self.starts))))

    def few(self, most: int) -> TextWindows:
        """At most ``most`` of the windows, evenly spaced."""
        if len(self.starts) <= most:
            return self
        chosen = np.arange(most) * len(self.starts) // most
        return TextWindows(self.ids, self.starts[chosen], self.context)


def draw_windows(
    ids: NDArray[Any],
    spans: NDArray[np.int64],
    config: PairedViewsConfig,
    most: int,
    seed: int,
    name: str,
) -> TextWindows:
    """At most ``most`` windows, drawn without replacement from all at the config's stride.

    Windows and their targets lie within one of ``spans``, documents ``(start, stop)`` of int64
    (n, 2); the source joins all documents and lets windows run across. Deterministic for
    ``seed`` and ``name``, in the order of the text.

    Raises:
        InputError: no document is longer than a window.
    """
    length, stride = config.max_position_embeddings, config.stride
    room = np.maximum(spans[:, 1] - spans[:, 0] - length, 0)
    counts = -(-room // stride)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    if total == 0:
        raise InputError(
            f"the {name} text holds no document of more than {length} tokens",
            hint="cut documents otherwise (--documents file), or give a --config with a smaller "
            '"max_position_embeddings"',
        )
    draw = generator(seed, "paired views", "windows", name)
    chosen = np.sort(draw.choice(total, min(most, total), replace=False))
    span = np.searchsorted(ends, chosen, side="right")
    place = chosen - (ends[span] - counts[span])
    return TextWindows(ids, spans[span, 0] + stride * place, length)


def masked(ids: Tensor, share: float, pad: int, draw: np.random.Generator) -> Tensor:
    """``ids`` with each token replaced by the pad with probability ``share``."""
    hidden = torch.from_numpy(draw.random(tuple(ids.shape), dtype=np.float32) < share)
    return ids.masked_fill(hidden, pad)


def masked_views(
    windows: TextWindows, config: PairedViewsConfig, seed: int, device: Device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Two masked copies of every block of windows, the same ones at every call: int64 (b, T)."""
    for number, (ids, _) in enumerate(windows.blocks()):
        first, second = (
            masked(ids, config.mask_share, config.tokens, generator(seed, view, f"block {number}"))
            for view in ("paired views first", "paired views second")
        )
        yield first.to(device), second.to(device)
