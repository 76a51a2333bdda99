"""Shares of a corpus: every document in one, by its text alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import shard_of


@settings(max_examples=100, deadline=None)
@given(text=st.text(), shards=st.integers(1, 1000))
def test_every_document_is_in_one_share(text: str, shards: int) -> None:
    assert 0 <= shard_of(text, shards) < shards
    assert shard_of(text, shards) == shard_of("".join(text), shards)


def test_one_share_is_all() -> None:
    assert {shard_of(str(number), 1) for number in range(100)} == {0}


@pytest.mark.parametrize("shards", [2, 3, 16])
def test_shares_are_about_equal(shards: int) -> None:
    count = 4000
    sizes = [0] * shards
    for number in range(count):
        sizes[shard_of(f"document {number}", shards)] += 1
    expected = count / shards
    assert all(abs(size - expected) < 5 * expected**0.5 for size in sizes)


def test_the_draw_stays_as_it_was_published() -> None:
    # parts counted today are merged with parts counted by another version tomorrow
    assert [shard_of(text, 1 << 32) for text in ("", "a", "zwölf Bären")] == [
        3367964678,
        2298461613,
        2799528004,
    ]
