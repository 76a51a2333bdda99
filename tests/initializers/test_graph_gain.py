"""The factor on the products of codes, by all columns and by a sample of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.graph import gain
from structinit_core.linalg import generator

RANK, ROWS, COLUMNS = 6, 300, 30_000


def drawn(true_gain: float) -> tuple[LogBilinear, sp.csr_array]:
    """Codes whose products, times ``true_gain``, decide what follows each row in a table."""
    random = generator(0, "gain test")
    left, right = (
        torch.from_numpy(random.standard_normal((n, RANK)).astype(np.float32))
        for n in (ROWS, COLUMNS)
    )
    bias = torch.from_numpy(-np.log(np.arange(1, COLUMNS + 1)).astype(np.float32))
    bias -= torch.logsumexp(bias, 0)
    chances = torch.softmax(true_gain * left @ right.T + bias, 1).double().numpy()
    counts = [random.multinomial(40, row / row.sum()) for row in chances]
    return LogBilinear(left, right, bias), sp.csr_array(np.stack(counts).astype(np.float64))


@pytest.mark.parametrize("whole", [True, False])
def test_the_factor_that_made_the_table_is_found(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, table = drawn(0.7)
    monkeypatch.setattr(gain, "_WHOLE", COLUMNS if whole else 1)
    assert gain.fit_gain(codes, table, 0) == pytest.approx(0.7, abs=0.03)
