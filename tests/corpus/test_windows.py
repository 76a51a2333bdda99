"""The scoring rule against its plainest statement."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import cut_windows, scored_positions, spread, window_starts

CONTEXTS = st.integers(1, 9)


@st.composite
def spans(draw) -> np.ndarray:
    """Documents with gaps between some of them, as a held-out slice has them."""
    at, found = 0, []
    lengths = st.tuples(st.integers(0, 5), st.integers(1, 30))
    for gap, length in draw(st.lists(lengths, max_size=8)):
        found.append((at + gap, at + gap + length))
        at = found[-1][1]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


@settings(max_examples=100, deadline=None)
@given(spans=spans(), context=CONTEXTS)
def test_all_but_the_first_of_each_window_is_scored(spans: np.ndarray, context: int) -> None:
    windows = cut_windows(spans, context)
    naive = [
        (position, position - (position - begin) % context)
        for begin, end in spans.tolist()
        for position in range(begin, end)
        if (position - begin) % context
    ]
    assert scored_positions(windows).tolist() == [position for position, _ in naive]
    assert window_starts(windows).tolist() == [start for _, start in naive]


@settings(max_examples=100, deadline=None)
@given(spans=spans(), context=CONTEXTS)
def test_windows_stay_within_one_span_and_the_context(spans: np.ndarray, context: int) -> None:
    windows = cut_windows(spans, context)
    assert windows.dtype == np.int64
    assert windows.shape == (len(windows), 2)
    for start, stop in windows.tolist():
        assert 2 <= stop - start <= context
        assert any(begin <= start and stop <= end for begin, end in spans.tolist())
    assert bool((windows[1:, 0] >= windows[:-1, 1]).all())


def test_no_span_gives_no_window() -> None:
    windows = cut_windows(np.zeros((0, 2), np.int64), 8)
    assert windows.shape == (0, 2)
    assert scored_positions(windows).tolist() == window_starts(windows).tolist() == []
    assert spread(windows, 100).shape == (0, 2)


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 60), context=st.integers(2, 9), budget=st.integers(2, 700))
def test_spread_keeps_evenly_spaced_windows_within_the_budget(
    count: int, context: int, budget: int
) -> None:
    windows = cut_windows(np.array([[0, count * context]]), context)
    kept = spread(windows, budget)
    assert len(kept) == max(1, min(count, budget // context))
    assert {tuple(window) for window in kept.tolist()} <= {tuple(w) for w in windows.tolist()}
    gaps = np.diff(kept[:, 0]) // context
    assert set(gaps.tolist()) <= {count // len(kept), -(-count // len(kept))}


@settings(max_examples=50, deadline=None)
@given(spans=spans(), context=CONTEXTS)
def test_spread_with_room_for_all_keeps_all(spans: np.ndarray, context: int) -> None:
    windows = cut_windows(spans, context)
    np.testing.assert_array_equal(
        spread(windows, int(np.ptp(windows) if windows.size else 0)), windows
    )
