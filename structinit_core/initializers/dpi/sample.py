"""Real token batches: what the layers are measured on, and what they are scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.corpus import TokenStream
from structinit_core.errors import InputError
from structinit_core.linalg import generator

Tokens = Tensor
"""Token ids; a name for rooms that do not import torch."""
WINDOW = 128
"""Tokens of a block of the sample, as published, or the context where it is shorter."""
STREAM_POSITIONS = 2048
"""Least positions whose activations are measured; the width, where that is more."""
CLUSTER_POSITIONS = 4096
"""Least embedded positions that are clustered; twice the width, where that is more."""
_PROBE_BATCH = 8192
"""Padded tokens of one batch of what is scored."""


@dataclass(frozen=True)
class Probe:
    """Windows to score: ids (n, T) padded with 0, and the targets (n, T−1), −1 for none."""

    ids: Tensor
    targets: Tensor


def draw_sample(
    stream: TokenStream,
    spans: NDArray[np.int64],
    positions: int,
    context: int,
    seed: int,
    name: str,
) -> Tensor:
    """At least ``positions`` tokens in whole blocks of consecutive ones: int64 (n, T).

    The spans are joined and cut into blocks of 128, which are drawn without repetition, and
    all of them again where the text is shorter. Deterministic for seed and name. Source: seed 001's
    loader, seeded.

    Raises:
        InputError: spans without a token.
    """
    lengths = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    if total == 0:
        raise InputError("the corpus holds no text to run the layers on")
    length = min(WINDOW, context)
    blocks = max(1, total // length)
    draw = generator(seed, "dpi", name)
    wanted = -(-positions // length)
    rounds = [draw.permutation(blocks) for _ in range(-(-wanted // blocks))]
    chosen = np.concatenate(rounds)[:wanted]
    at = (chosen[:, None] * length + np.arange(length)) % total
    span = np.searchsorted(ends, at, side="right")
    places = spans[span, 0] + at - (ends - lengths)[span]
    return torch.from_numpy(stream.ids[places].astype(np.int64))


def make_probes(stream: TokenStream, windows: NDArray[np.int64]) -> list[Probe]:
    """The windows ``(start, stop)`` in batches of similar length, longest first."""
    order = np.argsort(windows[:, 0] - windows[:, 1], kind="stable")
    batches: list[Probe] = []
    at = 0
    while at < len(order):
        longest = int(windows[order[at], 1] - windows[order[at], 0])
        rows = windows[order[at : at + max(1, _PROBE_BATCH // longest)]]
        ids = np.zeros((len(rows), longest), np.int64)
        targets = np.full((len(rows), longest - 1), -1, np.int64)
        for row, (start, stop) in enumerate(rows.tolist()):
            ids[row, : stop - start] = stream.ids[start:stop]
            targets[row, : stop - start - 1] = stream.ids[start + 1 : stop]
        batches.append(Probe(torch.from_numpy(ids), torch.from_numpy(targets)))
        at += len(rows)
    return batches
