"""Tokens too frequent for the memory are counted by scans, and nobody can tell from the bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import count, count_stream, heavy
from structinit_core.cooc.budget import BYTES_PER_OCCURRENCE
from structinit_core.cooc.heavy import LEAST_BYTES_PER_TOKEN
from structinit_core.corpus import TokenStream

WHOLE = 1 << 30
VOCABULARY = 12


def files(
    stream: TokenStream, spans: Any, vocabulary: int, offsets: int, memory: int
) -> dict[str, bytes]:
    """The bytes of every file of a count."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        count_stream(stream, spans, vocabulary, directory, offsets=offsets, memory_bytes=memory)
        return {path.name: path.read_bytes() for path in directory.iterdir()}


@st.composite
def uneven_texts(draw: st.DrawFn) -> tuple[TokenStream, np.ndarray[Any, Any]]:
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


@settings(max_examples=60, deadline=None)
@given(text=uneven_texts(), offsets=st.integers(1, 6), extra=st.integers(0, 1200))
def test_no_bound_leaves_a_trace(
    text: tuple[TokenStream, np.ndarray[Any, Any]], offsets: int, extra: int
) -> None:
    # from 6 occurrences upwards, of up to 200 of one token; from one offset a scan upwards
    memory = LEAST_BYTES_PER_TOKEN * VOCABULARY + extra
    whole = files(*text, VOCABULARY, offsets, WHOLE)
    assert files(*text, VOCABULARY, offsets, memory) == whole


@pytest.fixture(scope="module")
def stream() -> TokenStream:
    """20 000 tokens of 60 kinds, a third of them the same one."""
    rng = np.random.default_rng(11)
    mass = 1 / np.arange(1, 57) ** 1.4
    ids = rng.permutation(60)[rng.choice(56, 20_000, p=mass / mass.sum())]
    cuts = np.sort(rng.integers(0, 20_000, 50))
    return TokenStream(ids.astype(np.uint16), np.concatenate(([0], cuts, [20_000])))


def spans_of(stream: TokenStream) -> np.ndarray[Any, Any]:
    return np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """How much each way of counting held: offsets a scan, keys, occurrences of dense pairs."""
    seen: dict[str, list[int]] = {"offsets": [], "keys": [], "pairs": [], "positions": []}

    def watch(module: Any, name: str, kind: str, size: Callable[[Any], int]) -> None:
        real = getattr(module, name)

        def watched(*arguments: Any) -> Any:
            result = real(*arguments)
            seen[kind].append(size(result))
            return result

        monkeypatch.setattr(module, name, watched)

    watch(heavy, "follower_sums", "offsets", len)
    watch(heavy, "middle_keys", "keys", len)
    watch(heavy, "last_sums", "pairs", lambda sums: int(sums.sum()))
    watch(count, "occurrences", "positions", lambda result: len(result[0]))
    return seen


@pytest.mark.parametrize("budget", [30, 100, 700, 3000])
def test_budgets_far_below_the_most_frequent_token(
    budget: int, stream: TokenStream, scans: dict[str, list[int]]
) -> None:
    spans = spans_of(stream)
    whole = files(stream, spans, 60, 5, WHOLE)
    assert scans == {"offsets": [], "keys": [], "pairs": [], "positions": [len(stream.ids)]}
    assert 2 * budget < int(np.bincount(stream.ids).max())
    assert files(stream, spans, 60, 5, budget * BYTES_PER_OCCURRENCE) == whole
    assert max(scans["keys"]) <= budget
    assert max(scans["positions"][1:], default=0) <= budget
    assert min(scans["pairs"], default=budget + 1) > budget
    assert bool(scans["pairs"]) == (budget < 3000)


@pytest.mark.parametrize(
    ("extra", "groups"), [(0, [1, 1, 1, 1, 1]), (60 * 8, [2, 2, 1]), (60 * 32, [5])]
)
def test_the_memory_decides_how_many_offsets_a_scan_counts(
    extra: int, groups: list[int], stream: TokenStream, scans: dict[str, list[int]]
) -> None:
    memory = LEAST_BYTES_PER_TOKEN * 60 + extra
    files(stream, spans_of(stream), 60, 5, memory)
    assert scans["offsets"][: len(groups)] == groups
    assert set(scans["offsets"]) == set(groups)


def test_threads_leave_no_trace(stream: TokenStream) -> None:
    before = numba.get_num_threads()
    try:
        results = []
        for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(threads)
            results += [files(stream, spans_of(stream), 60, 3, m) for m in (4000, 90_000, WHOLE)]
    finally:
        numba.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_a_single_token_throughout(scans: dict[str, list[int]]) -> None:
    """Every pair is the same pair, too frequent as well."""
    stream = TokenStream(np.full(5000, 2, np.uint16), np.array([0, 5000]))
    spans = np.array([[0, 1], [1, 3], [3, 5000]])
    whole = files(stream, spans, 4, 3, WHOLE)
    assert files(stream, spans, 4, 3, 4 * LEAST_BYTES_PER_TOKEN) == whole
    assert scans["pairs"] == [4995]
    assert scans["keys"] == []


def test_the_largest_tokens_keep_apart_in_trigram_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = 1 << 21
    ids = np.full(3000, vocabulary - 1, np.uint32)
    ids[::3] = vocabulary - 2
    ids[::7] = 0
    stream, spans = TokenStream(ids, np.array([0, 3000])), np.array([[0, 3000]])
    whole = files(stream, spans, vocabulary, 1, WHOLE)
    memory = LEAST_BYTES_PER_TOKEN * vocabulary
    for module in (count, heavy):
        monkeypatch.setattr(module, "BYTES_PER_OCCURRENCE", memory // 300)
    assert files(stream, spans, vocabulary, 1, memory) == whole
