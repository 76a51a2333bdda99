"""A tokenizer.json of the user: read safely, and made to give the same ids every time."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models

from structinit_core.corpus import find_frame, load_tokenizer, serialise, tokenizer, vocabulary_size
from structinit_core.errors import InputError, LimitError


@pytest.fixture
def change(trained: Tokenizer, put):
    """Write the trained tokenizer's file with other fields."""

    def write(**fields: object) -> Path:
        return put("tokenizer.json", json.dumps(json.loads(serialise(trained)) | fields))

    return write


def words(*tokens: str) -> Tokenizer:
    return Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, tokens[0]))


def test_what_was_written_is_read(trained: Tokenizer, put) -> None:
    loaded = load_tokenizer(put("tokenizer.json", serialise(trained)))
    assert serialise(loaded) == serialise(trained)
    assert "Ġ" in serialise(trained), "the file is there to be read"


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{}", b"null", b"[" * 100_000, b'{"a":' * 100_000, b'{"version": "1.0"}'],
    ids=["empty", "not utf-8", "object", "null", "deep list", "deep object", "no model"],
)
def test_garbage_is_named(put, content: bytes) -> None:
    path = put("tokenizer.json", content)
    with pytest.raises(InputError, match=r"not a tokenizer\.json|not UTF-8") as caught:
        load_tokenizer(path)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Nonsense"},
        {"type": "Replace", "pattern": {"Regex": "("}, "content": ""},
        # the library panics here, which is no Exception
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"ab").decode()},
    ],
    ids=lambda normalizer: normalizer["type"],
)
def test_a_malformed_part_is_refused(change, normalizer: dict) -> None:
    with pytest.raises(InputError, match=r"not a tokenizer\.json"):
        load_tokenizer(change(normalizer=normalizer))


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(InputError) as caught:
            load_tokenizer(path)
        assert caught.value.where == str(path)


def test_a_huge_file_is_not_read(change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MAX_TOKENIZER_BYTES", 100)
    with pytest.raises(LimitError):
        load_tokenizer(change())


def test_truncation_and_padding_are_switched_off(trained: Tokenizer, put) -> None:
    limited = Tokenizer.from_str(serialise(trained))
    limited.enable_truncation(3)
    limited.enable_padding(length=10)
    loaded = load_tokenizer(put("tokenizer.json", serialise(limited)))
    for text in ("the cat sat on the mat and the dog", "a"):
        assert loaded.encode(text).ids == trained.encode(text).ids


def test_a_merge_dropout_is_switched_off(trained: Tokenizer, change) -> None:
    # counting must give the same ids every time
    model = json.loads(serialise(trained))["model"] | {"dropout": 0.5}
    loaded = load_tokenizer(change(model=model))
    text = "the cat sat on the mat and the dog sat on the log"
    assert {tuple(loaded.encode(text).ids) for _ in range(10)} == {tuple(trained.encode(text).ids)}


@pytest.mark.parametrize(
    ("tokens", "frame"),
    [
        (["a", "<|endoftext|>"], ("<|endoftext|>", "<|endoftext|>", 1, 1)),
        (["<s>", "a", "</s>"], ("<s>", "</s>", 0, 2)),
        (["a", "<eos>", "<bos>"], ("<bos>", "<eos>", 2, 1)),
        (["<s>", "</s>", "<|endoftext|>"], ("<|endoftext|>", "<|endoftext|>", 2, 2)),
        (["<s>", "a"], None),
        (["a"], None),
    ],
)
def test_the_frame_is_a_pair_the_vocabulary_has(tokens: list[str], frame) -> None:
    found = find_frame(words(*tokens))
    assert found == frame or (found.begin, found.end, found.begin_id, found.end_id) == frame


def test_added_tokens_and_holes_count(trained: Tokenizer) -> None:
    holed = Tokenizer(models.WordLevel({"a": 0, "b": 9}, "a"))
    assert vocabulary_size(holed) == 10
    full = Tokenizer(models.WordLevel({"a": 0}, "a"))
    full.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
    frame = find_frame(full)
    assert frame is not None
    assert vocabulary_size(full) == max(frame.begin_id, frame.end_id) + 1 == 3
    assert vocabulary_size(trained) == 320
