"""What every initializer yields goes through here."""

from __future__ import annotations

import pytest
import torch

from structinit_core.initializers.stream import finite

LARGEST = torch.finfo(torch.float32).max


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), True),
        ((1.0, -2.0), True),
        ((LARGEST, LARGEST, -LARGEST), True),
        ((1.0, float("nan")), False),
        ((float("inf"), 1.0), False),
        ((float("inf"), float("-inf")), False),
    ],
)
def test_entries_are_finite_even_where_their_sum_is_not(
    entries: tuple[float, ...], expected: bool
) -> None:
    assert finite(torch.tensor(entries)) is expected
