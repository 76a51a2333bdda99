from __future__ import annotations

import pytest

from structinit_core.graph import Names


def test_names_keep_their_rows_in_any_script() -> None:
    words = ["кот", "", "cat 🐈", "_r"]
    names = Names.of(words)
    assert list(names) == words
    assert [names.find(word) for word in words] == [0, 1, 2, 3]
    assert names.find("dog") is None
    with pytest.raises(IndexError):
        names[4]


def test_many_names_are_gone_through_in_order() -> None:
    words = [f"{'ж' * (row % 3)}{row}" for row in range(40_000)]
    assert list(Names.of(words)) == words
