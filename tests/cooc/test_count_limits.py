"""What counting refuses, with the exit code a user sees, and the run-length kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import count_stream
from structinit_core.cooc.count import MAX_OFFSETS, key_bits, run_lengths
from structinit_core.corpus import TokenStream
from structinit_core.errors import InputError, LimitError

ONE_DOCUMENT = np.array([[0, 6]])


@pytest.fixture
def stream(stream_of: Callable[..., TokenStream]) -> TokenStream:
    """Six tokens, the most frequent of which occurs three times."""
    return stream_of([[0, 1, 1, 2, 1, 0]])


@given(st.integers(1, 1 << 21))
@settings(max_examples=100, deadline=None)
def test_three_tokens_fit_a_key(vocabulary: int) -> None:
    bits = key_bits(vocabulary)
    assert vocabulary - 1 < 1 << bits
    assert 3 * bits <= 64


@pytest.mark.parametrize("vocabulary", [(1 << 21) + 1, 1 << 22, 1 << 40])
def test_vocabularies_too_large_for_a_key(
    stream: TokenStream, tmp_path: Path, vocabulary: int
) -> None:
    with pytest.raises(LimitError, match=str(vocabulary)) as caught:
        count_stream(stream, ONE_DOCUMENT, vocabulary, tmp_path, offsets=1, memory_bytes=1 << 20)
    assert caught.value.exit_code == 6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offsets", [-1, 0, MAX_OFFSETS + 1, 1 << 40])
def test_offsets_out_of_range(stream: TokenStream, tmp_path: Path, offsets: int) -> None:
    with pytest.raises(LimitError, match=str(offsets)):
        count_stream(stream, ONE_DOCUMENT, 3, tmp_path, offsets=offsets, memory_bytes=1 << 20)


def test_memory_for_the_most_frequent_token_is_needed_and_enough(
    stream: TokenStream, tmp_path: Path
) -> None:
    count_stream(stream, ONE_DOCUMENT, 3, tmp_path, offsets=1, memory_bytes=3 * 64)
    with pytest.raises(LimitError) as caught:
        count_stream(stream, ONE_DOCUMENT, 3, tmp_path, offsets=1, memory_bytes=3 * 64 - 1)
    assert caught.value.exit_code == 6
    assert "--memory" in (caught.value.hint or "")


@pytest.mark.parametrize("spans", [[], [(0, 0), (4, 4)]])
def test_no_token_is_bad_input(
    stream: TokenStream, tmp_path: Path, spans: list[tuple[int, int]]
) -> None:
    empty = np.array(spans, np.int64).reshape(-1, 2)
    with pytest.raises(InputError) as caught:
        count_stream(stream, empty, 3, tmp_path, offsets=1, memory_bytes=1 << 20)
    assert caught.value.exit_code == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=30))
def test_run_lengths_equal_a_dictionary(values: list[int]) -> None:
    distinct, lengths = run_lengths(np.array(sorted(values), dtype=np.uint64))
    assert distinct.dtype == np.uint64
    assert list(zip(distinct.tolist(), lengths.tolist(), strict=True)) == sorted(
        Counter(values).items()
    )
