from __future__ import annotations

import pytest
import torch

from structinit_core.cooc import Counts, KneserNey
from structinit_core.corpus import cut_windows
from structinit_core.initializers.closed_form import Pairs, scored_pairs
from structinit_core.initializers.closed_form.codes import LogBilinear, factorise


@pytest.fixture
def smoothed(counts: Counts) -> KneserNey:
    return KneserNey(counts)


@pytest.fixture
def held_out(counts: Counts) -> Pairs:
    windows = cut_windows(counts.held_out_spans, 64)
    return scored_pairs(counts.held_out, windows, counts.vocabulary)


@pytest.fixture
def codes(smoothed: KneserNey) -> LogBilinear:
    return factorise(smoothed, 24, seed=0)[0]


@pytest.fixture
def kn_rows(smoothed: KneserNey) -> torch.Tensor:
    """The exact KN bigram, dense: float64 (V, V)."""
    dense = smoothed.direct().toarray() + smoothed.backoff[:, None] * smoothed.continuation
    return torch.from_numpy(dense)
