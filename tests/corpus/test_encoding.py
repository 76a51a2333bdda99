"""Which tokenizers the word cache serves; every other goes the library's way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from structinit_core.corpus import encoding, find_frame, tokenize
from structinit_core.corpus.encoding import cuts_like_gpt2
from structinit_core.errors import InputError

FRAME = ("<|endoftext|>", 0)
TEXTS = ["It's a cat's  mat.\n\n\tÄpfel\u3000und Birnen 1½ 🙂", "<|endoftext|>x", "the  the", "\n"]


def template(single: str) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single=single, special_tokens=[FRAME])


def setter(name: str, value: object) -> Callable[[Tokenizer], None]:
    return lambda tokenizer: setattr(tokenizer, name, value)


SERVED: dict[str, Callable[[Tokenizer], None]] = {
    "as trained": lambda tokenizer: None,
    "special": lambda tokenizer: tokenizer.add_special_tokens(["<pad>"]) and None,
    "offsets": setter("post_processor", processors.ByteLevel(trim_offsets=False)),
    "template": setter("post_processor", template("<|endoftext|> $A <|endoftext|>")),
    "roberta": setter("post_processor", processors.RobertaProcessing(FRAME, FRAME)),
    "sequence": setter(
        "post_processor",
        processors.Sequence([processors.ByteLevel(), template("<|endoftext|> $A")]),
    ),
    "ignore_merges": lambda tokenizer: setattr(tokenizer.model, "ignore_merges", True),
}
ELSEWHERE: dict[str, Callable[[Tokenizer], None]] = {
    "prefix space": setter("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "no pattern": setter(
        "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ),
    "whitespace": setter("pre_tokenizer", pre_tokenizers.Whitespace()),
    "split": setter(
        "pre_tokenizer",
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
    ),
    "normalizer": setter("normalizer", normalizers.Lowercase()),
    "added word": lambda tokenizer: tokenizer.add_tokens([AddedToken("cat's  mat")]) and None,
    "truncation": lambda tokenizer: tokenizer.enable_truncation(3),
    "padding": lambda tokenizer: tokenizer.enable_padding(length=40),
    "doubled": setter("post_processor", template("$A $A")),
}


@pytest.fixture
def own(trained: Tokenizer) -> Tokenizer:
    return Tokenizer.from_str(trained.to_str())


def by_library(tokenizer: Tokenizer) -> list[int]:
    frame = find_frame(tokenizer)
    assert frame is not None
    tokenizer.encode_special_tokens = True
    encodings = tokenizer.encode_batch_fast(TEXTS, add_special_tokens=False)
    return [token for e in encodings for token in (frame.begin_id, *e.ids, frame.end_id)]


@pytest.mark.parametrize("kind", [*SERVED, *ELSEWHERE])
def test_every_kind_has_the_librarys_ids(own: Tokenizer, kind: str, tmp_path: Path) -> None:
    (SERVED | ELSEWHERE)[kind](own)
    assert cuts_like_gpt2(own) == (kind in SERVED)
    found = tokenize(TEXTS, own, tmp_path).ids.tolist()
    assert found == by_library(own)


def test_without_pre_tokenizer_or_with_another_model() -> None:
    assert not cuts_like_gpt2(Tokenizer(models.BPE()))
    words = Tokenizer(models.WordLevel({"a": 0}, "a"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert not cuts_like_gpt2(words)


def test_dropout_goes_the_librarys_way(own: Tokenizer) -> None:
    own.model.dropout = 0.5
    assert not cuts_like_gpt2(own)


def test_a_library_that_cuts_otherwise_is_left_alone(
    own: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "cut_pretokens", lambda text, classes: [text])
    assert not cuts_like_gpt2(own)


def test_reading_faults_come_through_and_the_tokenizer_is_set_back(
    own: Tokenizer, tmp_path: Path
) -> None:
    def documents() -> Iterator[str]:
        yield "the cat"
        raise InputError("torn")

    with pytest.raises(InputError, match="torn"):
        tokenize(documents(), own, tmp_path)
    assert not own.encode_special_tokens


def test_a_lone_surrogate_is_bad_input(own: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot encode the text"):
        tokenize(["a\ud800"], own, tmp_path)
    assert not own.encode_special_tokens


def test_batches_come_in_order(own: Tokenizer) -> None:
    batches = [[f"word {at}"] * (at % 3 + 1) for at in range(50)]
    found = [len(lengths) for _, lengths in encoding.encoded(batches, own)]
    assert found == [len(batch) for batch in batches]


def test_text_without_words_that_come_again_goes_the_librarys_way(own: Tokenizer) -> None:
    draw = random.Random(3)
    batches = [["".join(draw.choices("abcdefgh", k=20))] for _ in range(50)]
    batches += [["the cat sat on the mat " * 9]] * 40
    frame = find_frame(own)
    plain = encoding.library_encoder(own, frame)
    calls: list[int] = []

    def library(batch: list[str]) -> encoding.Encoded:
        calls.append(1)
        return plain(batch)

    encode = encoding._cached(encoding.WordCache(own, frame), library)
    for at, batch in enumerate(batches):
        ids, lengths = encode(batch)
        expected, counts = plain(batch)
        assert ids.tolist() == expected.tolist()
        assert lengths.tolist() == counts.tolist()
        if at == 49:
            assert len(calls) > 40
    assert len(calls) < 70
