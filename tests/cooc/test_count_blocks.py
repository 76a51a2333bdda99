"""Streams that do not fit the memory are counted in blocks, and nobody can tell from the bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import count, count_stream
from structinit_core.cooc.grouping import SCANS, Block, Reach, blocks, groups
from structinit_core.corpus import TokenStream

WHOLE = 1 << 30
VOCABULARY = 12
Ints = np.ndarray[Any, np.dtype[np.int64]]


def files(
    stream: TokenStream, spans: Ints, vocabulary: int, offsets: int, memory: int
) -> dict[str, bytes]:
    """The bytes of every file of a count."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        count_stream(stream, spans, vocabulary, directory, offsets=offsets, memory_bytes=memory)
        return {path.name: path.read_bytes() for path in directory.iterdir()}


@st.composite
def uneven_texts(draw: st.DrawFn) -> tuple[TokenStream, Ints]:
    """Spans of few tokens, some far more frequent, some never seen; not all text is counted."""
    token = st.sampled_from([5, 5, 5, 5, 5, 5, 0, 0, 7, 7, 11, 3])
    pieces = draw(st.lists(st.tuples(st.lists(token, max_size=60), st.booleans()), max_size=6))
    ids, spans = [5], [(0, 1)]
    for tokens, is_counted in pieces:
        if is_counted:
            spans.append((len(ids), len(ids) + len(tokens)))
        ids += tokens
    width = draw(st.sampled_from([np.uint16, np.uint32]))
    return TokenStream(np.array(ids, width), np.array([0, len(ids)])), np.array(spans)


@settings(max_examples=40, deadline=None)
@given(text=uneven_texts(), offsets=st.integers(1, 6), memory=st.integers(1 << 12, 1 << 14))
def test_no_bound_leaves_a_trace(text: tuple[TokenStream, Ints], offsets: int, memory: int) -> None:
    whole = files(*text, VOCABULARY, offsets, WHOLE)
    assert files(*text, VOCABULARY, offsets, memory) == whole


@settings(max_examples=100, deadline=None)
@given(text=uneven_texts(), budget=st.integers(1, 40), threads=st.integers(1, 2))
def test_blocks_hold_every_position_once_and_no_token_too_often(
    text: tuple[TokenStream, Ints], budget: int, threads: int
) -> None:
    stream, spans = text
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        found = list(blocks(stream.ids, spans, VOCABULARY, budget))
    finally:
        numba.set_num_threads(before)
    positions = [p for block in found for a, b, _, _ in block.pieces for p in range(a, b)]
    assert positions == [p for start, stop in spans for p in range(start, stop)]
    whole = {tuple(span) for span in spans.tolist()}
    for block in found:
        assert {(start, stop) for _, _, start, stop in block.pieces.tolist()} <= whole
        assert all(start <= a < b <= stop for a, b, start, stop in block.pieces.tolist())
        held = np.bincount(
            [stream.ids[p] for a, b, _, _ in block.pieces for p in range(a, b)],
            minlength=VOCABULARY,
        )
        assert block.tokens.sum(axis=0).tolist() == held.tolist()
        assert held.max() <= budget
        assert held.sum() <= SCANS * budget + SCANS
        assert int(block.shares[-1]) == len(block.pieces)


@pytest.fixture(scope="module")
def stream() -> TokenStream:
    """20 000 tokens of 60 kinds, a third of them the same one."""
    rng = np.random.default_rng(11)
    mass = 1 / np.arange(1, 57) ** 1.4
    ids = rng.permutation(60)[rng.choice(56, 20_000, p=mass / mass.sum())]
    cuts = np.sort(rng.integers(0, 20_000, 50))
    return TokenStream(ids.astype(np.uint16), np.concatenate(([0], cuts, [20_000])))


def spans_of(stream: TokenStream) -> Ints:
    return np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The positions of each block and the windows of each group."""
    held: dict[str, list[int]] = {"blocks": [], "groups": []}

    def watched_blocks(*arguments: Any) -> Any:
        for block in blocks(*arguments):
            held["blocks"].append(int(block.tokens.sum()))
            yield block

    def watched_groups(ids: Any, block: Block, reach: Reach, *bounds: int) -> Any:
        for group in groups(ids, block, reach, *bounds):
            held["groups"].append(len(group.windows))
            yield group

    monkeypatch.setattr(count, "blocks", watched_blocks)
    monkeypatch.setattr(count, "groups", watched_groups)
    return held


@pytest.mark.parametrize(("budget", "least"), [(1500, 5), (3000, 2), (8000, 1)])
def test_budgets_below_the_most_frequent_token(
    budget: int, least: int, stream: TokenStream, seen: dict[str, list[int]]
) -> None:
    spans = spans_of(stream)
    whole = files(stream, spans, 60, 5, WHOLE)
    assert seen == {"blocks": [20_000], "groups": [20_000]}
    memory = budget * Reach(60, 0, 5, np.dtype(np.uint32)).bytes_per_window(1)
    assert files(stream, spans, 60, 5, memory) == whole
    assert len(seen["blocks"][1:]) >= least
    assert sum(seen["blocks"][1:]) == sum(seen["groups"][1:]) == 20_000
    assert max(seen["groups"][1:]) <= budget


def test_the_memory_decides_how_wide_a_window_is(stream: TokenStream) -> None:
    """A vocabulary beyond 16 bits doubles a window."""
    wide, narrow = (
        Reach(vocabulary, 0, 5, np.dtype(np.uint32)) for vocabulary in (1 << 16, (1 << 16) - 1)
    )
    assert wide.width == np.uint32
    assert narrow.width == np.uint16
    assert wide.bytes_per_window(1) - narrow.bytes_per_window(1) == 12
    assert int(stream.ids.max()) < np.iinfo(narrow.width).max


@pytest.mark.parametrize("vocabulary", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1])
def test_the_last_token_is_not_taken_for_none(vocabulary: int) -> None:
    width = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    ids = np.array([vocabulary - 1] * 4 + [0], width)
    stream, spans = TokenStream(ids, np.array([0, 5])), np.array([[0, 5]])
    with tempfile.TemporaryDirectory() as name:
        count_stream(stream, spans, vocabulary, Path(name), offsets=3, memory_bytes=WHOLE)
        data = [np.load(Path(name) / f"offset{k}.data.npy").tolist() for k in (1, 2, 3)]
        trigrams = np.load(Path(name) / "trigram.counts.npy").tolist()
    assert data == [[1, 3], [1, 2], [1, 1]]
    assert trigrams == [1, 2]


def test_threads_leave_no_trace(stream: TokenStream) -> None:
    before = numba.get_num_threads()
    try:
        results = []
        for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(threads)
            memories = (40_000, 90_000, WHOLE)
            results += [files(stream, spans_of(stream), 60, 3, m) for m in memories]
    finally:
        numba.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_a_single_token_throughout() -> None:
    """Every pair is the same pair, too frequent as well."""
    stream = TokenStream(np.full(5000, 2, np.uint16), np.array([0, 5000]))
    spans = np.array([[0, 1], [1, 3], [3, 5000]])
    whole = files(stream, spans, 4, 3, WHOLE)
    assert files(stream, spans, 4, 3, 1 << 14) == whole


def test_the_largest_tokens_keep_apart_in_trigram_keys() -> None:
    vocabulary = 1 << 21
    ids = np.full(3000, vocabulary - 1, np.uint32)
    ids[::3] = vocabulary - 2
    ids[::7] = 0
    stream, spans = TokenStream(ids, np.array([0, 3000])), np.array([[0, 3000]])
    whole = files(stream, spans, vocabulary, 1, WHOLE)
    assert files(stream, spans, vocabulary, 1, 1 << 15) == whole


def test_nothing_is_left_of_blocks_after_an_error(
    stream: TokenStream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: Any) -> None:
        assert len(list(tmp_path.iterdir())) > 1
        raise OSError("disk")

    monkeypatch.setattr(count, "add_tables", fail)
    with pytest.raises(OSError, match="disk"):
        count_stream(stream, spans_of(stream), 60, tmp_path, offsets=2, memory_bytes=1 << 14)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
