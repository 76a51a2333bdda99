"""Our cuts are the library's, for every character and in hostile text."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from tokenizers import pre_tokenizers

from structinit_core.corpus.pretokens import LETTER, NUMBER, OTHER, SPACE, CharacterClasses
from structinit_core.corpus.pretokens import cut_pretokens as cut

from .hostile_text import SPACES, hostile_text

SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False)
CLASSES = CharacterClasses(SPLIT)


def theirs(text: str) -> list[str]:
    return [text[begin:end] for _, (begin, end) in SPLIT.pre_tokenize_str(text)]


@settings(deadline=None)
@given(hostile_text)
def test_hostile_text_is_cut_as_the_library_cuts(text: str) -> None:
    assert cut(text, CLASSES) == theirs(text)


@pytest.mark.parametrize(
    "planes", [range(1), pytest.param(range(1, 17), marks=pytest.mark.slow, id="others")]
)
def test_every_character_among_letters_digits_marks_and_spaces(planes: range) -> None:
    for plane in planes:
        for begin in range(plane << 16, (plane + 1) << 16, 256):
            characters = [chr(c) for c in range(begin, begin + 256) if not 0xD800 <= c < 0xE000]
            text = "".join(f"a{c}b1{c}2!{c}? {c} {c}{c}\n" for c in characters)
            assert cut(text, CLASSES) == theirs(text)


def test_classes_are_the_patterns() -> None:
    letters, numbers, other = "aéЖ日ª", "07½²Ⅷ٣", "!_'\u0301🙂\x00\u200b"
    cut(letters + numbers + other + "".join(SPACES), CLASSES)
    for text, kind in ((letters, LETTER), (numbers, NUMBER), (other, OTHER), (" \n\u3000", SPACE)):
        assert {int(CLASSES.table[ord(c)]) for c in text} == {kind}


def test_classes_are_asked_when_first_met() -> None:
    fresh = CharacterClasses(SPLIT)
    assert fresh.table[ord("Ж")] == 0
    assert cut("слово Ж", fresh) == ["слово", " Ж"]
    assert fresh.table[ord("Ж")] == LETTER
    assert fresh.table[ord("日")] == 0


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "'", "''", "x'", " 's", "'l", "a  ", "  a", "\t a"]
)
def test_short_text(text: str) -> None:
    assert cut(text, CLASSES) == theirs(text)


def test_the_last_character_of_unicode() -> None:
    text = f"a{chr(sys.maxunicode)}b"
    assert cut(text, CLASSES) == theirs(text)
