"""The count tables of the offsets: what stands one token ahead, two, and so on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from structinit_core.cooc import KneserNey
from structinit_core.initializers.closed_form.refit import sparse


@dataclass(frozen=True)
class LagTable:
    """P(b | a) at one lag as sparse part plus rank one, with its transpose.

    P(b|a) = direct_ab + rest_a·lower_b: sparse CSR (V, V), (V,), (V,); total: how often a was
    counted at this lag, (V,), at least 1. All float32.
    """

    direct: Tensor
    transposed: Tensor
    rest: Tensor
    lower: Tensor
    total: Tensor


def lag_tables(model: KneserNey, lags: int, device: torch.device) -> list[LagTable]:
    """The KN bigram, then the counted shares at lags 1 to ``lags``; memory 24 bytes an entry."""
    lower = torch.from_numpy(model.continuation.astype(np.float32)).to(device)
    backoff = torch.from_numpy(model.backoff.astype(np.float32)).to(device)
    tables = []
    for lag in range(lags + 1):
        counted = model.counts.offsets[lag]
        totals = np.maximum(np.asarray(counted.sum(axis=1), np.float64).ravel(), 1)
        rows = model.direct() if lag == 0 else sp.diags_array(1 / totals) @ counted
        rows = sp.csr_array(rows)
        tables.append(
            LagTable(
                sparse(rows, device),
                sparse(sp.csr_array(rows.T), device),
                torch.zeros_like(backoff) if lag else backoff,
                lower,
                torch.from_numpy(totals.astype(np.float32)).to(device),
            )
        )
    return tables
