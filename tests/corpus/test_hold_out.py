"""Which documents are held out: a draw by content, not by place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import TokenStream, hold_out, tokens

SEEDS = st.integers(0, 2**64 - 1)
DOCUMENTS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=12)


def stream(documents, dtype=np.uint16) -> TokenStream:
    ids = np.concatenate([np.array(document, dtype) for document in documents])
    return TokenStream(ids, np.cumsum([0, *map(len, documents)], dtype=np.int64))


def texts(stream: TokenStream, spans: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(stream.ids[start:stop].tolist()) for start, stop in spans.tolist()]


def numbered(count: int, length: int = 5) -> list[list[int]]:
    return [[number // 256, number % 256, *range(length - 2)] for number in range(count)]


@settings(max_examples=80, deadline=None)
@given(documents=DOCUMENTS, share=st.floats(0, 1), seed=SEEDS, piece=st.integers(1, 15))
def test_every_token_is_counted_or_held_out(documents, share: float, seed: int, piece: int) -> None:
    whole = stream(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "HOLDOUT_PIECE", piece)
        split = hold_out(whole, share, seed)
    spans = sorted([*split.counted.tolist(), *split.held_out.tolist()])
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == len(whole.ids)
    assert all(start < stop for start, stop in spans)
    for start, stop in spans:
        inside = (whole.offsets > start) & (whole.offsets < stop)
        assert not inside.any(), "a span crosses a document's end"


@pytest.mark.parametrize("share", [0.02, 0.2, 0.7])
def test_the_share_is_about_right(share: float) -> None:
    count = 5000
    held = len(hold_out(stream(numbered(count)), share, 0).held_out)
    assert abs(held - share * count) < 5 * (count * share * (1 - share)) ** 0.5


def test_the_draw_does_not_depend_on_order_or_width() -> None:
    documents = numbered(300)
    whole = stream(documents)
    expected = sorted(texts(whole, hold_out(whole, 0.1, 3).held_out))
    assert 0 < len(expected) < 300
    shuffled = [documents[at] for at in np.random.default_rng(0).permutation(300)]
    for again in (stream(shuffled), stream(documents[::-1]), stream(documents, np.uint32)):
        assert sorted(texts(again, hold_out(again, 0.1, 3).held_out)) == expected


def test_the_draw_of_a_document_does_not_depend_on_the_others() -> None:
    documents = numbered(300)
    whole, shard = stream(documents), stream(documents[:150])
    expected = {text for text in texts(whole, hold_out(whole, 0.1, 3).held_out) if text[0] == 0}
    held = set(texts(shard, hold_out(shard, 0.1, 3).held_out))
    assert held == expected & {tuple(document) for document in documents[:150]}


def test_another_seed_draws_others() -> None:
    whole = stream(numbered(300))
    one, two = (set(texts(whole, hold_out(whole, 0.1, seed).held_out)) for seed in (0, 1))
    assert one != two


@settings(max_examples=80, deadline=None)
@given(documents=DOCUMENTS, share=st.floats(0, 1), seed=SEEDS)
def test_copies_of_a_document_stay_together(documents, share: float, seed: int) -> None:
    fresh = [[9, *document] for document in documents]
    whole = stream([*documents, [7], *documents, *fresh])
    split = hold_out(whole, share, seed)
    assert not set(texts(whole, split.counted)) & set(texts(whole, split.held_out))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, count=st.integers(2, 8))
def test_a_few_documents_still_give_a_slice(seed: int, count: int) -> None:
    split = hold_out(stream(numbered(count)), 1e-12, seed)
    assert len(split.held_out) == 1
    assert len(split.counted) == count - 1


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, count=st.integers(2, 8))
def test_a_few_documents_are_not_all_held_out(seed: int, count: int) -> None:
    split = hold_out(stream(numbered(count)), 1 - 1e-12, seed)
    assert len(split.counted) == 1


@pytest.mark.parametrize("share", [1e-12, 1 - 1e-12])
def test_the_forced_draw_does_not_depend_on_order(share: float) -> None:
    documents = numbered(6)
    for seed in range(10):
        one, two = stream(documents), stream(documents[::-1])
        assert set(texts(one, hold_out(one, share, seed).held_out)) == set(
            texts(two, hold_out(two, share, seed).held_out)
        )


def test_one_short_document_is_not_held_out_by_force() -> None:
    assert len(hold_out(stream([[1, 2, 3]]), 1e-12, 0).held_out) == 0


def test_no_share_holds_out_nothing() -> None:
    whole = stream(numbered(200))
    split = hold_out(whole, 0.0, 0)
    assert split.held_out.shape == (0, 2)
    assert len(split.counted) == 200


def test_a_long_document_is_drawn_in_pieces() -> None:
    length = 40 * tokens.HOLDOUT_PIECE + 100
    ids = np.random.default_rng(0).integers(0, 1000, length).astype(np.uint16)
    split = hold_out(TokenStream(ids, np.array([0, length])), 0.3, 0)
    held = int((split.held_out[:, 1] - split.held_out[:, 0]).sum())
    assert 0.05 * length < held < 0.6 * length
    edges = np.concatenate([split.held_out.ravel(), split.counted.ravel()])
    assert set((edges % tokens.HOLDOUT_PIECE).tolist()) == {0, length % tokens.HOLDOUT_PIECE}
    # neighbours on one side are joined, or a window would lose its context there
    assert not set(split.held_out[:, 0]) & set(split.held_out[:, 1])
    assert not set(split.counted[:, 0]) & set(split.counted[:, 1])


@settings(max_examples=150, deadline=None)
@given(
    documents=DOCUMENTS,
    shares=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    fraction=st.sampled_from([0.0, 1e-12, 0.2, 0.5, 0.8, 1 - 1e-12]),
    seed=SEEDS,
)
def test_shards_hold_out_together_what_the_whole_does(
    documents, shares: list[int], fraction: float, seed: int
) -> None:
    whole = stream(documents)
    expected = sorted(texts(whole, hold_out(whole, fraction, seed).held_out))
    held: list[tuple[int, ...]] = []
    for share in range(4):
        own = [d for d, at in zip(documents, shares, strict=False) if at == share]
        others = [d for d, at in zip(documents, shares, strict=False) if at != share]
        if own:
            shard = stream(own)
            rest = (stream([other]) for other in others)
            held += texts(shard, hold_out(shard, fraction, seed, rest).held_out)
    assert sorted(held) == expected


def test_the_rest_is_read_until_the_draw_is_settled() -> None:
    documents = numbered(3000)
    whole = stream(documents)
    held = [list(text) for text in texts(whole, hold_out(whole, 0.02, 0).held_out)]
    counted = [document for document in documents if document not in held]
    asked: list[int] = []

    def rest(documents: list[list[int]]):
        for number, document in enumerate(documents):
            asked.append(number)
            yield stream([document])

    shard = stream([held[0], counted[0]])
    hold_out(shard, 0.02, 0, rest(documents))
    assert asked == []
    shard = stream(counted[:1])
    split = hold_out(shard, 0.02, 0, rest([*counted[1:9], held[0], *documents]))
    assert asked == list(range(9))
    assert len(split.held_out) == 0


def test_a_rest_without_tokens_settles_nothing() -> None:
    nothing = TokenStream(np.zeros(0, np.uint16), np.zeros(1, np.int64))
    split = hold_out(stream(numbered(2)), 1e-12, 0, [nothing])
    assert len(split.held_out) == 1
    assert hold_out(nothing, 0.5, 0, [stream(numbered(2))]).held_out.shape == (0, 2)
