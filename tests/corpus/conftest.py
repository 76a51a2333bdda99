"""Corpus files and a tokenizer trained in a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from structinit_core.corpus import train_tokenizer

SENTENCES = [
    "the cat sat on the mat and the dog sat on the log",
    "Ein Bär aß zwölf Äpfel; ein Bär aß zwölf Birnen.",
    "日本語の文章と日本語の言葉 🙂🙂",
    "def f(x):\n    return x\n\ndef g(x):\n    return x\n",
]


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes or text (line ends as they are) and give the path."""

    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    return train_tokenizer(SENTENCES * 3, 320)
