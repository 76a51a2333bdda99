"""Counts equal those of a dictionary, whatever the stream and the spans."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import count_stream
from structinit_core.corpus import TokenStream

VOCABULARY = 7


@st.composite
def streams_and_spans(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """A stream cut into pieces, empty ones included, of which only some are counted."""
    token = st.integers(0, VOCABULARY - 1)
    piece = st.tuples(st.lists(token, max_size=12), st.booleans())
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for tokens, is_counted in [([draw(token)], True), *draw(st.lists(piece, max_size=8))]:
        if is_counted:
            spans.append((len(ids), len(ids) + len(tokens)))
        ids += tokens
    return ids, spans


def read_rows(directory: Path, offset: int) -> dict[tuple[int, int], int]:
    """One offset's table as a dictionary, its layout checked on the way."""
    indptr, indices, data = (
        np.load(directory / f"offset{offset}.{part}.npy") for part in ("indptr", "indices", "data")
    )
    assert indptr.dtype == indices.dtype
    assert data.dtype == np.uint32
    assert indptr[-1] == len(indices) == len(data)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    same_row = rows[1:] == rows[:-1]
    assert (indices[1:] > indices[:-1])[same_row].all()
    pairs = zip(rows.tolist(), indices.tolist(), strict=True)
    return dict(zip(pairs, data.tolist(), strict=True))


def read_trigrams(directory: Path, bits: int) -> dict[tuple[int, int, int], int]:
    """The packed trigrams as a dictionary."""
    keys = np.load(directory / "trigram.keys.npy")
    counts = np.load(directory / "trigram.counts.npy")
    assert keys.dtype == np.uint64
    assert counts.dtype == np.uint32
    assert (keys[1:] > keys[:-1]).all()
    mask = (1 << bits) - 1
    return {
        (key >> 2 * bits, key >> bits & mask, key & mask): count
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True)
    }


@settings(max_examples=60, deadline=None)
@given(streams_and_spans(), st.integers(1, 4))
def test_every_table_equals_a_dictionary(
    text: tuple[list[int], list[tuple[int, int]]], offsets: int
) -> None:
    ids, spans = text
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stream = TokenStream(np.array(ids, np.uint16), np.array([0, len(ids)]))
        count_stream(
            stream,
            np.array(spans, np.int64).reshape(-1, 2),
            VOCABULARY,
            directory,
            offsets=offsets,
            memory_bytes=1 << 20,
        )
        unigram = np.load(directory / "unigram.npy")
        tables = [read_rows(directory, k) for k in range(1, offsets + 1)]
        trigrams = read_trigrams(directory, bits=3)
    pieces = [ids[start:stop] for start, stop in spans]
    seen = Counter(token for piece in pieces for token in piece)
    assert unigram.dtype == np.int64
    assert unigram.tolist() == [seen[token] for token in range(VOCABULARY)]
    for k, table in enumerate(tables, start=1):
        assert table == Counter(
            pair for piece in pieces for pair in zip(piece, piece[k:], strict=False)
        )
    assert trigrams == Counter(
        triple for piece in pieces for triple in zip(piece, piece[1:], piece[2:], strict=False)
    )


def test_far_offsets_stay_inside_the_span(tmp_path: Path) -> None:
    # 255 followers are all that the kernel's uint8 can say
    ids = np.random.default_rng(0).integers(0, 3, 400).astype(np.uint16)
    spans = np.array([[0, 256], [256, 256], [256, 400]])
    stream = TokenStream(ids, np.array([0, 400]))
    count_stream(stream, spans, 3, tmp_path, offsets=255, memory_bytes=1 << 20)
    for k in (1, 143, 144, 254, 255):
        expected = Counter(
            (int(ids[t]), int(ids[t + k]))
            for start, stop in spans.tolist()
            for t in range(start, stop - k)
        )
        assert read_rows(tmp_path, k) == expected


@pytest.mark.parametrize("vocabulary", [2, 3, 256, 257, (1 << 16) + 1, 1 << 21])
def test_the_largest_tokens_keep_apart_in_trigram_keys(tmp_path: Path, vocabulary: int) -> None:
    low, high = vocabulary - 2, vocabulary - 1
    tokens = [high, high, high, low, high, low, low]
    stream = TokenStream(np.array(tokens, np.uint32), np.array([0, len(tokens)]))
    spans = np.array([[0, len(tokens)]])
    count_stream(stream, spans, vocabulary, tmp_path, offsets=1, memory_bytes=1 << 20)
    bits = len(f"{high:b}")
    expected = Counter(zip(tokens, tokens[1:], tokens[2:], strict=False))
    assert read_trigrams(tmp_path, bits) == expected
    assert read_rows(tmp_path, 1) == Counter(pairwise(tokens))
