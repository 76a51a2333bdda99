"""The yardsticks of every report equal a loop over the scoring rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from structinit_core.cooc import (
    Counts,
    KneserNey,
    reference_losses,
    reference_losses_at,
    references,
)
from structinit_core.corpus import TokenStream, cut_windows, scored_positions, window_starts
from structinit_core.errors import IncompatibleError

VOCABULARY = 9


def draw(seed: int, documents: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    mass = 1 / np.arange(1, VOCABULARY)
    return [
        rng.choice(VOCABULARY - 1, length, p=mass / mass.sum()).tolist()
        for length in rng.integers(1, 30, documents)
    ]


TRAIN = draw(0, 12)
# the last document is all unseen tokens; the text before has documents of a single token
HELD_OUT = [*draw(1, 10), [3], [VOCABULARY - 1] * 4]


@pytest.fixture(scope="module")
def model(fit: Callable[[list[list[int]], int], KneserNey]) -> KneserNey:
    return fit(TRAIN, VOCABULARY)


def windows_of(stream: TokenStream, context: int) -> np.ndarray[Any, Any]:
    return cut_windows(np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1), context)


def naive_losses(documents: list[list[int]], context: int, kn: Any) -> tuple[float, ...]:
    """Uniform, unigram, KN-2, KN-3 and the number of scored tokens."""
    sums = [0.0, 0.0, 0.0]
    scored = 0
    for document in documents:
        for start in range(0, len(document), context):
            window = document[start : start + context]
            for place in range(1, len(window)):
                scored += 1
                token = window[place]
                sums[0] -= math.log(kn.unigram((), token))
                kn2 = kn.kn2((window[place - 1],), token)
                sums[1] -= math.log(kn2)
                deep = kn.kn3(tuple(window[place - 2 : place]), token) if place > 1 else kn2
                sums[2] -= math.log(deep)
    return math.log(VOCABULARY), *(value / scored for value in sums), scored


@pytest.mark.parametrize("context", [2, 3, 5, 1024])
@pytest.mark.parametrize("width", [np.uint16, np.uint32])
def test_equal_to_a_loop(
    context: int,
    width: Any,
    model: KneserNey,
    naive: Any,
    stream_of: Callable[..., TokenStream],
) -> None:
    stream = stream_of(HELD_OUT, width)
    losses = reference_losses(model, stream, windows_of(stream, context))
    expected = naive_losses(HELD_OUT, context, naive(TRAIN, VOCABULARY))
    assert astuple(losses) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("block", [1, 2, 7, 64])
def test_blocks_leave_no_trace(
    block: int,
    model: KneserNey,
    stream_of: Callable[..., TokenStream],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = stream_of(HELD_OUT)
    windows = windows_of(stream, 6)
    whole = reference_losses(model, stream, windows)
    monkeypatch.setattr(references, "_BLOCK", block)
    assert astuple(reference_losses(model, stream, windows)) == pytest.approx(
        astuple(whole), rel=1e-12
    )


def test_with_one_token_of_context_three_is_two(
    model: KneserNey, stream_of: Callable[..., TokenStream]
) -> None:
    stream = stream_of(HELD_OUT)
    losses = reference_losses(model, stream, windows_of(stream, 2))
    assert losses.kn3 == losses.kn2


@pytest.mark.parametrize("document", [[0, VOCABULARY], [VOCABULARY, 0], [0, 1, 2, 60000]])
def test_tokens_outside_the_vocabulary(
    document: list[int], model: KneserNey, stream_of: Callable[..., TokenStream]
) -> None:
    stream = stream_of([[0, 1, 2], document])
    with pytest.raises(IncompatibleError) as caught:
        reference_losses(model, stream, windows_of(stream, 8))
    assert caught.value.exit_code == 4


def test_only_the_windows_are_read(model: KneserNey, stream_of: Callable[..., TokenStream]) -> None:
    clean = stream_of([[0, 1, 2, 1]])
    mixed = stream_of([[50], [0, 1, 2, 1], [60, 61]])
    window = np.array([[0, 4]])
    assert reference_losses(model, mixed, window + 1) == reference_losses(model, clean, window)


def test_chosen_positions_are_scored_as_their_windows_are(counts: Counts) -> None:
    """All positions of windows: the same losses; one a window: what it alone has."""
    model, windows = KneserNey(counts), cut_windows(counts.held_out_spans, 16)
    whole = reference_losses(model, counts.held_out, windows)
    found = reference_losses_at(
        model, counts.held_out, scored_positions(windows), window_starts(windows)
    )
    assert found == whole
    last = windows[:, 1] - 1
    ends = reference_losses_at(model, counts.held_out, last, windows[:, 0])
    pairs = model.bigram_probability(counts.held_out.ids[last - 1], counts.held_out.ids[last])
    assert ends.tokens == len(windows)
    assert ends.kn2 == pytest.approx(float(-np.log(pairs).mean()))
