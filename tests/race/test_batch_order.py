from __future__ import annotations

import numpy as np
import pytest

from structinit_core.corpus import TokenStream
from structinit_core.race.text import BatchOrder, leaked_share

CONTEXT = 8


def order(tokens: int, batch_tokens: int = 16, seed: int = 0) -> BatchOrder:
    ids = np.arange(tokens, dtype=np.uint16)
    return BatchOrder(TokenStream(ids, np.array([0, tokens])), CONTEXT, batch_tokens, seed)


def test_an_epoch_predicts_every_token_once() -> None:
    source = order(10 * CONTEXT + 1)
    targets = np.concatenate([source.batch(step)[:, 1:].ravel() for step in range(5)])
    assert sorted(targets) == list(range(1, 10 * CONTEXT + 1))


def test_rows_are_runs_of_the_text() -> None:
    batch = order(1000).batch(3)
    assert batch.shape == (2, CONTEXT + 1)
    assert batch.dtype == np.int64
    assert (np.diff(batch, axis=1) == 1).all()
    assert (batch[:, 0] % CONTEXT == 0).all()


def test_epochs_have_orders_of_their_own() -> None:
    source = order(6 * CONTEXT + 1, batch_tokens=6 * CONTEXT)
    first, second = source.batch(0)[:, 0], source.batch(1)[:, 0]
    assert sorted(first) == sorted(second)
    assert list(first) != list(second)


def test_a_batch_may_lie_in_two_epochs() -> None:
    source = order(3 * CONTEXT + 1, batch_tokens=2 * CONTEXT)
    starts = [int(start) for step in range(3) for start in source.batch(step)[:, 0]]
    assert sorted(starts[:3]) == sorted(starts[3:]) == [0, CONTEXT, 2 * CONTEXT]


@pytest.mark.parametrize("step", [0, 7, 40])
def test_a_step_does_not_depend_on_the_steps_before_it(step: int) -> None:
    walked = order(500)
    for before in range(step):
        walked.batch(before)
    assert (walked.batch(step) == order(500).batch(step)).all()


def test_seeds_decide_the_order() -> None:
    assert (order(500, seed=1).batch(0) == order(500, seed=1).batch(0)).all()
    assert (order(500, seed=1).batch(0) != order(500, seed=2).batch(0)).any()


def test_a_batch_holds_at_least_one_window() -> None:
    assert order(500, batch_tokens=1).batch(0).shape == (1, CONTEXT + 1)


def documents(*texts: list[int]) -> TokenStream:
    ids = np.array([token for text in texts for token in text], np.uint16)
    return TokenStream(ids, np.cumsum([0, *map(len, texts)]))


def test_what_is_trained_on_is_not_held_out() -> None:
    train = documents([1, 2, 3], [4, 5], [6])
    assert leaked_share(train, documents([1, 2], [3, 4, 5], [7])) == 0
    assert leaked_share(train, documents([4, 5], [7] * 6)) == 0.25
    assert leaked_share(train, train) == 1
