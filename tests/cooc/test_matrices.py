"""Matrices in memory equal a double loop over positions, whatever the memory."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import Distance, directed_counts, window_counts, window_view
from structinit_core.corpus import TokenStream
from structinit_core.errors import IncompatibleError, LimitError

VOCABULARY = 9
Documents = list[list[int]]

documents = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=15), min_size=1, max_size=6)
memories = st.integers(0, 2000)


def stream_of(texts: Documents) -> tuple[TokenStream, np.ndarray]:
    offsets = np.cumsum([0, *map(len, texts)])
    ids = np.array([token for text in texts for token in text], np.uint16)
    return TokenStream(ids, offsets), np.stack((offsets[:-1], offsets[1:]), axis=1)


def pairs(texts: Documents) -> list[tuple[int, int, int]]:
    """Every ordered pair of tokens in one document: first, second, distance."""
    return [
        (a, b, far)
        for text in texts
        for at, a in enumerate(text)
        for far, b in enumerate(text[at + 1 :], start=1)
    ]


def dense(entries: dict[tuple[int, int], Fraction]) -> np.ndarray:
    table = np.zeros((VOCABULARY, VOCABULARY))
    for place, value in entries.items():
        table[place] = float(value)
    return table


def assert_canonical(matrix: sp.csr_array) -> None:
    assert matrix.shape == (VOCABULARY, VOCABULARY)
    assert matrix.indptr.dtype == matrix.indices.dtype
    assert (matrix.data > 0).all()
    for row in range(VOCABULARY):
        columns = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        assert (np.diff(columns) > 0).all()


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 5), memories)
def test_directed(texts: Documents, offsets: int, memory: int) -> None:
    stream, spans = stream_of(texts)
    found = directed_counts(stream, spans, VOCABULARY, offsets=offsets, memory_bytes=memory)
    assert len(found) == offsets
    for offset, matrix in enumerate(found, start=1):
        expected: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        for a, b, far in pairs(texts):
            expected[a, b] += far == offset
        assert_canonical(matrix)
        assert matrix.dtype == np.uint32
        np.testing.assert_array_equal(matrix.toarray(), dense(expected))


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 7), st.sampled_from(Distance), memories)
def test_symmetric_window(texts: Documents, window: int, distance: Distance, memory: int) -> None:
    stream, spans = stream_of(texts)
    found = window_counts(
        stream, spans, VOCABULARY, window=window, distance=distance, memory_bytes=memory
    )
    expected: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for a, b, far in pairs(texts):
        if far <= window:
            weight = Fraction(1, far if distance is Distance.HARMONIC else 1)
            expected[a, b] += weight
            expected[b, a] += weight
    assert_canonical(found)
    # rounded once from the exact fraction: equal to the last bit
    np.testing.assert_array_equal(found.toarray(), dense(expected))


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(1, 6), st.sampled_from(Distance))
def test_the_view_of_the_tables_is_the_fused_count(
    texts: Documents, window: int, distance: Distance
) -> None:
    stream, spans = stream_of(texts)
    tables = directed_counts(stream, spans, VOCABULARY, offsets=6, memory_bytes=1 << 20)
    fused = window_counts(
        stream, spans, VOCABULARY, window=window, distance=distance, memory_bytes=1 << 20
    )
    view = window_view(tables, window, distance)
    assert view.dtype == fused.dtype
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(view, part), getattr(fused, part))


def test_a_window_beyond_the_counted_offsets_is_refused() -> None:
    stream, spans = stream_of([[1, 2, 3]])
    tables = directed_counts(stream, spans, VOCABULARY, offsets=2, memory_bytes=1 << 20)
    with pytest.raises(LimitError, match="window of 3 needs as many offsets") as caught:
        window_view(tables, 3)
    assert "--offsets" in (caught.value.hint or "")


@pytest.mark.parametrize("window", [0, 43, 256])
def test_windows_that_cannot_be_summed_exactly_are_refused(window: int) -> None:
    """lcm(1 … 43) takes 63 bits, and sums of it more than 64."""
    stream, spans = stream_of([[1, 2, 3] * 9])
    with pytest.raises(LimitError):
        window_counts(stream, spans, VOCABULARY, window=window, memory_bytes=1 << 20)
    if window == 43:
        flat = window_counts(
            stream, spans, VOCABULARY, window=43, distance=Distance.FLAT, memory_bytes=1 << 20
        )
        assert int(flat.sum()) == 27 * 26


@pytest.mark.parametrize("window", [-1, 0, 256])
def test_windows_out_of_range_are_named(window: int) -> None:
    stream, spans = stream_of([[1, 2, 3]])
    tables = directed_counts(stream, spans, VOCABULARY, offsets=2, memory_bytes=1 << 20)
    with pytest.raises(LimitError, match=f"a window must .* not {window}"):
        window_view(tables, window)
    with pytest.raises(LimitError, match=f"a window must .* not {window}"):
        window_counts(stream, spans, VOCABULARY, window=window, memory_bytes=1 << 20)


def test_tokens_outside_the_vocabulary_are_refused() -> None:
    stream, spans = stream_of([[1, 2, 8]])
    with pytest.raises(IncompatibleError, match="vocabulary of 8"):
        directed_counts(stream, spans, 8, offsets=1, memory_bytes=1 << 20)
