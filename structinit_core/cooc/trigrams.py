"""Trigrams as packed keys: how wide a token is in one, and counts of sorted keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import LimitError


def key_bits(vocabulary: int) -> int:
    """Bits of one token in a packed trigram key.

    Raises:
        LimitError: three of them do not fit 64 bits.
    """
    bits = max(1, (vocabulary - 1).bit_length())
    if 3 * bits > 64:
        raise LimitError(f"trigram keys hold vocabularies up to {1 << 21}, not {vocabulary}")
    return bits


def run_lengths(ordered: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The distinct values of an ascending array and how often each occurs."""
    if len(ordered) == 0:
        return ordered, np.zeros(0, np.int64)
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[first], np.diff(np.append(first, len(ordered)))
