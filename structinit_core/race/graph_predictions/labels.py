"""Text as particles and words: the longest label that fits, wherever one begins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"<\w+>|\w+(?:[-'.+]\w+)*|[^\w\s]")

Piece = int | str
"""A particle's row, or a word that no label begins at."""


def words_of(text: str) -> list[str]:
    """Words and single marks in the order of the text, in lower case."""
    return _WORD.findall(text.casefold())


class Labels:
    """Labels of particles, as sequences of words; of two particles' equal labels the first wins."""

    def __init__(self, labels: Iterable[tuple[int, str]]) -> None:
        self._rows: dict[tuple[str, ...], int] = {}
        self._longest: dict[str, int] = {}
        for row, label in labels:
            words = tuple(words_of(label))
            if words and words not in self._rows:
                self._rows[words] = row
                self._longest[words[0]] = max(self._longest.get(words[0], 0), len(words))

    def match(self, words: Sequence[str]) -> list[Piece]:
        """From left to right the particle of the longest label that fits, else the word itself."""
        pieces: list[Piece] = []
        at = 0
        while at < len(words):
            for length in range(self._longest.get(words[at], 0), 0, -1):
                row = self._rows.get(tuple(words[at : at + length]))
                if row is not None:
                    pieces.append(row)
                    at += length
                    break
            else:
                pieces.append(words[at])
                at += 1
        return pieces

    def only(self, place: Sequence[int]) -> Labels:
        """The labels of particles whose ``place`` is not negative, which is their new row."""
        kept = Labels(())
        for words, row in self._rows.items():
            if place[row] >= 0:
                kept._rows[words] = int(place[row])
                kept._longest[words[0]] = max(kept._longest.get(words[0], 0), len(words))
        return kept
