"""Where documents begin, and that no text is lost between them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import Border, read_documents

WIKI = (
    " \n = First Title = \n \n One . \n \n = = Section = = \n \n Two . \n"
    " \n = = = Deeper = = = \n Three . \n \n = Second Title = \n \n Four . \n"
)
PIECES = st.sampled_from(
    ["\n", "\n\n", " ", "\t", "\r\n", "\u3000", " = Title = \n", " = = Section = = \n", "a", "ö b"]
)


def documents(path: Path, border: Border) -> list[str]:
    return list(read_documents([path], border=border))


def test_blank_lines_cut_paragraphs(put) -> None:
    path = put("a.txt", "one\ntwo\n\nthree\n \t\n\n\nfour\n")
    assert documents(path, Border.BLANK) == ["one\ntwo\n", "three\n", "four\n"]


def test_titles_cut_articles_and_sections_do_not(put) -> None:
    first, second = documents(put("wiki.txt", WIKI), Border.TITLE)
    assert first.strip().startswith("= First Title =")
    assert "= = Section = =" in first
    assert first.strip().endswith("Three .")
    assert second.strip().startswith("= Second Title =")


@pytest.mark.parametrize("line", ["= =", "=x=", "= x", "x =", "a = b = c", "= = x = ="])
def test_other_equal_signs_are_no_title(put, line: str) -> None:
    path = put("a.txt", f"before\n{line}\nafter\n")
    assert len(documents(path, Border.TITLE)) == 1


def test_text_before_the_first_title_is_a_document(put) -> None:
    path = put("a.txt", "preface\n = Title = \nbody\n")
    assert documents(path, Border.TITLE) == ["preface\n", " = Title = \nbody\n"]


def test_every_line_that_is_not_blank_is_a_document(put) -> None:
    path = put("a.txt", "\none\n\n \ntwo\nthree")
    assert documents(path, Border.LINE) == ["one\n", "two\n", "three"]


def test_a_file_is_one_document(put) -> None:
    assert documents(put("a.txt", WIKI), Border.FILE) == [WIKI]


@pytest.mark.parametrize("border", Border)
@pytest.mark.parametrize("content", ["", "\n", " \n\t\r\n\u3000\n"])
def test_white_space_is_no_document(put, border: Border, content: str) -> None:
    assert documents(put("a.txt", content), border) == []


@pytest.mark.parametrize("border", Border)
def test_a_new_file_is_always_a_border(put, border: Border) -> None:
    paths = [put("a.txt", "one"), put("b.txt", "two")]
    assert list(read_documents(paths, border=border)) == ["one", "two"]
    assert list(read_documents(paths[::-1], border=border)) == ["two", "one"]


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, max_size=25), border=st.sampled_from(Border))
def test_nothing_but_white_space_is_left_out(pieces: list[str], border: Border) -> None:
    text = "".join(pieces)
    with TemporaryDirectory() as directory:
        path = Path(directory, "a.txt")
        path.write_bytes(text.encode())
        found = documents(path, border)
    at = 0
    for document in found:
        assert document.strip()
        start = text.index(document, at)
        assert not text[at:start].strip()
        at = start + len(document)
    assert not text[at:].strip()


@settings(max_examples=60, deadline=None)
@given(text=st.text(), border=st.sampled_from(Border))
def test_any_text_survives(text: str, border: Border) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "a.txt")
        path.write_bytes(text.encode())
        joined = "".join(documents(path, border))
    assert joined.split() == text.removeprefix("\ufeff").split()
