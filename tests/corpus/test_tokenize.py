"""Documents to one stream of ids on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from structinit_core.corpus import TokenStream, find_frame, tokenize, tokens
from structinit_core.errors import InputError

DOCUMENTS = ["the cat sat", "zwölf Bären 🙂", "a", "def f(x):\n    return x\n" * 20]


@pytest.fixture
def own(trained: Tokenizer) -> Tokenizer:
    """A copy of the trained tokenizer, free to be changed."""
    return Tokenizer.from_str(trained.to_str())


def documents_of(stream: TokenStream) -> list[list[int]]:
    return [part.tolist() for part in np.split(stream.ids, stream.offsets[1:-1])]


def words(size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({f"w{at}": at for at in range(size)}, "w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_every_document_comes_back_in_its_frame(own: Tokenizer, tmp_path: Path) -> None:
    stream = tokenize(DOCUMENTS, own, tmp_path)
    frame = find_frame(own)
    assert frame is not None
    parts = documents_of(stream)
    assert len(parts) == len(DOCUMENTS)
    for ids, text in zip(parts, DOCUMENTS, strict=True):
        assert (ids[0], ids[-1]) == (frame.begin_id, frame.end_id)
        assert own.decode(ids[1:-1]) == text


def test_offsets_cover_the_stream(own: Tokenizer, tmp_path: Path) -> None:
    stream = tokenize(DOCUMENTS, own, tmp_path)
    assert stream.offsets.dtype == np.int64
    assert stream.offsets[0] == 0
    assert stream.offsets[-1] == len(stream.ids)
    assert bool((np.diff(stream.offsets) > 0).all())
    assert isinstance(stream.ids, np.memmap)


@pytest.mark.parametrize(("size", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_the_width_holds_the_last_id(tmp_path: Path, size: int, dtype: type) -> None:
    stream = tokenize([f"w1 w{size - 1}"], words(size), tmp_path)
    assert stream.ids.dtype == dtype
    assert stream.ids.tolist() == [1, size - 1]


def test_a_text_that_spells_the_frame_is_text(own: Tokenizer, tmp_path: Path) -> None:
    text = "one<|endoftext|>two"
    [ids] = documents_of(tokenize([text], own, tmp_path))
    assert [at for at, token in enumerate(ids) if token == 0] == [0, len(ids) - 1]
    assert own.decode(ids[1:-1], skip_special_tokens=False) == text


def test_the_tokenizer_is_left_as_it_was(own: Tokenizer, tmp_path: Path) -> None:
    before = own.encode("one<|endoftext|>two").ids
    tokenize(DOCUMENTS, own, tmp_path)
    assert own.encode("one<|endoftext|>two").ids == before


def test_without_a_frame_documents_are_bare(tmp_path: Path) -> None:
    stream = tokenize(["w1 w2", "w3"], words(5), tmp_path)
    assert documents_of(stream) == [[1, 2], [3]]


def test_a_document_without_tokens_is_left_out(tmp_path: Path) -> None:
    stream = tokenize(["w1", " ", "w2"], words(5), tmp_path)
    assert documents_of(stream) == [[1], [2]]


@pytest.mark.parametrize("documents", [[], [" ", "\n"]])
def test_an_empty_corpus_is_bad_input(tmp_path: Path, documents: list[str]) -> None:
    with pytest.raises(InputError, match="no text") as caught:
        tokenize(documents, words(5), tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("characters", [1, 10, 1000])
def test_batches_do_not_show(
    own: Tokenizer, tmp_path: Path, characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenize(DOCUMENTS * 5, own, tmp_path).ids.tolist()
    monkeypatch.setattr(tokens, "_BATCH_CHARACTERS", characters)
    assert tokenize(DOCUMENTS * 5, own, tmp_path).ids.tolist() == whole


def test_the_tokenizers_own_template_adds_nothing(own: Tokenizer, tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    templated = Tokenizer.from_str(own.to_str())
    templated.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    plain = tokenize(DOCUMENTS, own, tmp_path).ids.tolist()
    assert tokenize(DOCUMENTS, templated, tmp_path).ids.tolist() == plain


def test_progress_counts_every_character(own: Tokenizer, tmp_path: Path) -> None:
    class Counter:
        steps = 0

        def stage(self, name: str, total: int | None = None) -> None: ...

        def warn(self, message: str) -> None: ...

        def advance(self, steps: int = 1) -> None:
            self.steps += steps

    counter = Counter()
    tokenize(iter(DOCUMENTS), own, tmp_path, counter)
    assert counter.steps == sum(map(len, DOCUMENTS))


def test_a_tokenizer_that_cannot_say_the_text_is_bad_input(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"w1": 0}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with pytest.raises(InputError):
        tokenize(["w1 stranger"], tokenizer, tmp_path)


@pytest.mark.parametrize("documents", [[], [" ", "\n"]])
def test_a_stream_may_be_empty_where_that_is_asked_for(
    tmp_path: Path, documents: list[str]
) -> None:
    stream = tokenize(documents, words(5), tmp_path, may_be_empty=True)
    assert (stream.ids.tolist(), stream.offsets.tolist()) == ([], [0])
