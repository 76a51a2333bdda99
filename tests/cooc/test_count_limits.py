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
from structinit_core.cooc.budget import token_ranges
from structinit_core.cooc.facts import MAX_OFFSETS
from structinit_core.cooc.sums import BYTES_PER_ENTRY
from structinit_core.cooc.trigrams import key_bits, run_lengths
from structinit_core.corpus import TokenStream
from structinit_core.errors import LimitError

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


def test_memory_for_an_entry_of_every_block_is_needed_and_enough(tmp_path: Path) -> None:
    ids = np.zeros(9000, np.uint16)  # in blocks of one window each of which holds one token
    stream, spans = TokenStream(ids, np.array([0, 9000])), np.array([[0, 9000]])
    with pytest.raises(LimitError, match="needs at least") as caught:
        count_stream(stream, spans, 3, tmp_path, offsets=1, memory_bytes=30)
    assert caught.value.exit_code == 6
    assert "--memory" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
    count_stream(stream, spans, 3, tmp_path, offsets=1, memory_bytes=100 * BYTES_PER_ENTRY)
    assert np.load(tmp_path / "offset1.data.npy").tolist() == [8999]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 15))
def test_ranges_cover_every_token_once_and_fit(sizes: list[int], budget: int) -> None:
    ranges = list(token_ranges(np.array(sizes), budget))
    assert [token for low, high in ranges for token in range(low, high)] == list(range(len(sizes)))
    assert all(sum(sizes[low:high]) <= budget or high == low + 1 for low, high in ranges)


@pytest.mark.parametrize("spans", [[], [(0, 0), (4, 4)]])
def test_without_a_token_every_table_is_empty(
    stream: TokenStream, tmp_path: Path, spans: list[tuple[int, int]]
) -> None:
    empty = np.array(spans, np.int64).reshape(-1, 2)
    count_stream(stream, empty, 3, tmp_path, offsets=1, memory_bytes=1 << 20)
    files = {path.stem: np.load(path) for path in tmp_path.iterdir()}
    assert files.pop("unigram").tolist() == [0, 0, 0]
    assert files.pop("offset1.indptr").tolist() == [0, 0, 0, 0]
    assert {name: len(values) for name, values in files.items()} == {
        "offset1.indices": 0,
        "offset1.data": 0,
        "trigram.keys": 0,
        "trigram.counts": 0,
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=30))
def test_run_lengths_equal_a_dictionary(values: list[int]) -> None:
    distinct, lengths = run_lengths(np.array(sorted(values), dtype=np.uint64))
    assert distinct.dtype == np.uint64
    assert list(zip(distinct.tolist(), lengths.tolist(), strict=True)) == sorted(
        Counter(values).items()
    )
