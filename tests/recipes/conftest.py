"""A few pages, counted whole or by shards."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from structinit_core.corpus import Border
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

Count = Callable[..., Path]


@pytest.fixture(scope="module")
def text(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some pages of the book."""
    path = tmp_path_factory.mktemp("text") / "pages.txt"
    path.write_bytes(gzip.decompress(book.read_bytes())[:30_000])
    return path


@pytest.fixture
def count(text: Path, counts_path: Path, tmp_path: Path) -> Count:
    """Count the pages line by line with the session's tokenizer."""

    def make(name: str, **changes: Any) -> Path:
        fields: dict[str, Any] = {
            "texts": [text],
            "border": Border.LINE,
            "holdout": 0.1,
            "offsets": 2,
        }
        fields["tokenizer"] = counts_path / "tokenizer.json"
        count_corpus(CountSource(**(fields | changes)), tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def thirds(count: Count) -> list[Path]:
    return [count(f"part{i}", shard=(i, 3)) for i in range(3)]


@pytest.fixture(scope="module")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    (directory / "text.txt").write_text("one two three four five")
    count_corpus(CountSource([directory / "text.txt"], train_vocabulary=300), directory / "counts")
    return directory / "counts" / "tokenizer.json"
