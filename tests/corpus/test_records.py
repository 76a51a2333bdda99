"""JSONL: one document a record, every fault with its file, line and fields."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.corpus import Border, read_documents
from structinit_core.errors import InputError


def refused(path: Path, line: int, match: str, text_field: str | None = None) -> InputError:
    with pytest.raises(InputError, match=match) as caught:
        list(read_documents([path], text_field=text_field))
    assert caught.value.where == f"{path}:{line}"
    return caught.value


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text()), escape=st.booleans())
def test_texts_come_back_as_they_went_in(texts: list[str], escape: bool) -> None:
    lines = [json.dumps({"id": 1, "text": text}, ensure_ascii=escape) for text in texts]
    with TemporaryDirectory() as directory:
        path = Path(directory, "a.jsonl")
        path.write_bytes("\n".join(lines).encode())
        assert list(read_documents([path])) == [text for text in texts if text.strip()]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "A.JSONL"])
def test_the_name_makes_records(put, name: str) -> None:
    assert list(read_documents([put(name, '{"text": "one"}\n')])) == ["one"]


@pytest.mark.parametrize("border", Border)
def test_a_border_does_not_cut_records(put, border: Border) -> None:
    text = "one\n\n = Title = \n\ntwo\n"
    path = put("a.jsonl", json.dumps({"text": text}))
    assert list(read_documents([path], border=border)) == [text]


def test_a_text_field_makes_every_file_records(put) -> None:
    paths = [put("a.txt", '{"body": "one"}\n'), put("b.jsonl", '{"body": "two", "text": "no"}\n')]
    assert list(read_documents(paths, text_field="body")) == ["one", "two"]


def test_without_a_text_field_other_files_are_text(put) -> None:
    line = '{"text": "one"}\n'
    paths = [put("a.json", line), put("b.jsonl", line)]
    assert list(read_documents(paths)) == [line, "one"]


def test_blank_lines_are_no_records_but_count_as_lines(put) -> None:
    path = put("a.jsonl", '\n{"text": "one"}\n \t\n{"no": "two"}\n')
    refused(path, 4, "missing")


def test_a_missing_field_names_those_found(put) -> None:
    path = put("a.jsonl", '{"text": "one"}\n{"body": "two", "id": 1}\n')
    error = refused(path, 2, r"'text' is missing \(found: 'body', 'id'\)")
    assert error.exit_code == 3
    assert error.hint is not None
    assert "--text-field" in error.hint


def test_a_missing_field_of_an_empty_record(put) -> None:
    refused(put("a.jsonl", "{}"), 1, "'body' is missing .*nothing", text_field="body")


@pytest.mark.parametrize("line", ["{", "text", '{"text": "a"} {"text": "b"}', "{'text': 'a'}"])
def test_a_line_that_is_no_json_is_refused(put, line: str) -> None:
    refused(put("a.jsonl", '{"text": "one"}\n' + line), 2, "not a JSON record")


@pytest.mark.parametrize("line", ["[]", '"text"', "1", "null", "NaN"])
def test_a_record_that_is_no_object_is_refused(put, line: str) -> None:
    refused(put("a.jsonl", line), 1, "not a JSON object")


@pytest.mark.parametrize("value", ["1", "null", '["one"]', '{"text": "one"}', "true"])
def test_a_text_that_is_no_string_is_refused(put, value: str) -> None:
    refused(put("a.jsonl", f'{{"text": {value}}}'), 1, "'text' is not a string")


@pytest.mark.parametrize("escape", [r"\ud83d", r"a\udc00b", r"\ude42\ud83d"])
def test_a_lone_surrogate_is_refused(put, escape: str) -> None:
    refused(put("a.jsonl", f'{{"text": "{escape}"}}'), 1, "surrogate")


def test_a_pair_of_surrogates_is_one_character(put) -> None:
    assert list(read_documents([put("a.jsonl", r'{"text": "\ud83d\ude42"}')])) == ["🙂"]


@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_deep_nesting_is_refused(put, open_: str) -> None:
    refused(put("a.jsonl", '{"text": "one", "x": ' + open_ * 100_000), 1, "not a JSON record")


def test_records_before_a_fault_are_given(put) -> None:
    documents = read_documents([put("a.jsonl", '{"text": "one"}\n!\n')])
    assert next(documents) == "one"
    with pytest.raises(InputError):
        next(documents)
