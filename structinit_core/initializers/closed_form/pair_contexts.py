"""Counted pairs of tokens and what follows them, as far as a head can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structinit_core.cooc import TrigramRows
from structinit_core.initializers.closed_form.sampling import chances, draw
from structinit_core.linalg import generator

PAIRS = 60_000
"""Pairs the readout is fitted on, the heaviest for certain."""


@dataclass(frozen=True)
class PairContexts:
    """Counted pairs and what follows them, as far as the head can tell.

    ids: int64 (n, 3), oldest first; the oldest stands for whatever does. weight: (n,), sums
    to 1. target: Σ_c P(c|a,b)·[w_c, b_c] of the KN trigram, (n, r+1). spread: its entropy in
    nats, (n,), infinite where it was not worth taking.
    """

    ids: Tensor
    weight: Tensor
    target: Tensor
    spread: Tensor


def pair_contexts(
    rows: TrigramRows, columns: Tensor, candidates: int, seed: int, size: int = PAIRS
) -> PairContexts:
    """At most ``size`` counted pairs, the heaviest for certain; ``candidates`` for units.

    columns: (V, r+1), what the head reads the stream with.
    """
    device = columns.device
    drawn = draw(chances(rows.mass, size), generator(seed, "closed-form", "pairs"))
    at, weight = drawn.items, drawn.weights(rows.mass)
    ids = np.stack((rows.first[at], rows.first[at], rows.second[at]), axis=1)
    spread = np.full(len(at), np.inf, np.float32)
    heaviest = np.argsort(-weight, kind="stable")[:candidates]
    spread[heaviest] = rows.entropies(at[heaviest])
    target = torch.from_numpy(rows.means(at, columns.cpu().numpy()))
    share = torch.from_numpy((weight / weight.sum()).astype(np.float32))
    return PairContexts(
        torch.from_numpy(ids).to(device),
        share.to(device),
        target.to(device),
        torch.from_numpy(spread).to(device),
    )
