"""The word cache gives the library's ids, whatever it holds, and stays within its bounds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from structinit_core.corpus import Border, Frame, find_frame, read_documents, train_tokenizer
from structinit_core.corpus import word_cache as wc
from structinit_core.corpus.numbering import LONGEST
from structinit_core.corpus.word_cache import WordCache

from .hostile_text import hostile_text

CORPORA = sorted((Path(__file__).parents[2] / "fixtures" / "corpora").glob("*.gz"))


def as_text(tokenizer: Tokenizer) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.encode_special_tokens = True
    return copy


@pytest.fixture(scope="session")
def plain(trained: Tokenizer) -> Tokenizer:
    return as_text(trained)


def check(
    cache: WordCache, tokenizer: Tokenizer, batch: Sequence[str], frame: Frame | None
) -> None:
    ids, lengths = cache.encode(batch)
    begin, end = ([frame.begin_id], [frame.end_id]) if frame else ([], [])
    encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    expected = [[*begin, *encoding.ids, *end] for encoding in encodings]
    assert ids.dtype == np.uint32
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(part) for part in expected]
    assert ids.tolist() == [token for part in expected for token in part]


@settings(deadline=None)
@given(
    batches=st.lists(st.lists(hostile_text, max_size=6), max_size=4),
    entries=st.sampled_from([1, 2, 7, 1000]),
    framed=st.booleans(),
)
def test_hostile_text_has_the_librarys_ids(
    plain: Tokenizer, batches: list[list[str]], entries: int, framed: bool
) -> None:
    frame = find_frame(plain) if framed else None
    cache = WordCache(plain, frame, entries=entries, key_bytes=1)
    for batch in [*batches, *batches]:
        check(cache, plain, batch, frame)


@pytest.mark.parametrize("references", [2, 3, 5, 64])
def test_few_references_at_a_time_do_not_show(
    plain: Tokenizer, references: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wc, "_REFERENCES", references)
    batch = ["", "the cat", "", " ", "zwölf Bären " * 9 + "x" * (LONGEST + 1) + " end", "日本" * 40]
    for frame in (None, find_frame(plain)):
        check(WordCache(plain, frame, entries=4), plain, batch, frame)


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda path: path.name)
def test_whole_books(corpus: Path) -> None:
    documents = list(read_documents([corpus], border=Border.BLANK))
    tokenizer = as_text(train_tokenizer(documents, 1024))
    cache = WordCache(tokenizer, find_frame(tokenizer))
    for at in range(0, len(documents), 200):
        check(cache, tokenizer, documents[at : at + 200], find_frame(tokenizer))


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1, 5 * LONGEST])
def test_long_words(plain: Tokenizer, length: int) -> None:
    words = ["ab" * (length // 2 + 1), "é" * length, "!" * length, " " * length, "\n" * length]
    batch = [f"a {word[:length]} b{word[:length]}" for word in words]
    check(WordCache(plain, None), plain, batch, None)


def test_ids_that_ignore_merges_and_unknown_bytes() -> None:
    letters = {letter: at for at, letter in enumerate(["<unk>", *"abcĠ", "ab", "Ġcab"])}
    for options in ({}, {"fuse_unk": True}, {"ignore_merges": True}):
        model = models.BPE(letters, [("a", "b")], unk_token="<unk>", **options)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        check(WordCache(tokenizer, None), tokenizer, ["abcab cab xyz é cab", "yy", ""], None)


@pytest.mark.parametrize("unknown", [None, "<unk>", "Ċ"])
def test_a_vocabulary_without_the_line_end(unknown: str | None) -> None:
    letters = {letter: at for at, letter in enumerate(["<unk>", *"abcĠ", "ab"])}
    if unknown == "Ċ":
        letters |= {"Ċ": 6}
    tokenizer = Tokenizer(models.BPE(letters, [("a", "b")], unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = ["ab\ncab\n\n xa ya y", "é\nb c a\t\n b", "\n", "z"]
    check(WordCache(tokenizer, None), tokenizer, texts, None)


def test_special_tokens_inside_text(trained: Tokenizer) -> None:
    own = Tokenizer.from_str(trained.to_str())
    own.add_special_tokens([AddedToken("<|x|>", lstrip=True, rstrip=True, single_word=True)])
    own = as_text(own)
    check(WordCache(own, None), own, ["a <|x|> b<|x|>c <|endoftext|> <|x|><|x|>"], None)


def test_a_text_of_ever_new_words_stays_within_the_bounds(plain: Tokenizer) -> None:
    draw = random.Random(7)
    words = ("".join(draw.choices("abcdefgh", k=draw.randint(4, 20))) for _ in range(30_000))
    documents = [" ".join(words)]
    cache = WordCache(plain, None, entries=500, key_bytes=4096)
    before = cache.memory_bytes
    check(cache, plain, documents, None)
    assert cache.memory_bytes <= before


def test_a_full_cache_takes_what_is_promised(plain: Tokenizer) -> None:
    cache = WordCache(plain, None, key_bytes=1 << 16)
    fixed = cache.memory_bytes - 4 * wc.FIRST_IDS
    draw = random.Random(8)
    letters = [chr(code) for code in range(0x4E00, 0x9000)]  # three tokens each
    cache.encode([" ".join("".join(draw.choices(letters, k=40)) for _ in range(1000))])
    assert cache.memory_bytes - fixed <= 8 << 16
    whole = WordCache(plain, None).memory_bytes - 4 * wc.FIRST_IDS
    assert whole + 8 * wc.MAX_KEY_BYTES < 96 << 20


def test_threads_take_turns(plain: Tokenizer) -> None:
    batches = [[f"word{at} {at % 7} und {at % 50}er Bär"] * 5 for at in range(200)]
    cache = WordCache(plain, None, entries=50)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(cache.encode, batches))
    for batch, (ids, _) in zip(batches, found, strict=True):
        assert ids.tolist() == 5 * plain.encode(batch[0], add_special_tokens=False).ids


def test_a_cache_is_whole_after_a_fault(plain: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = WordCache(plain, None)

    def fail(texts: list[str]) -> list[list[int]]:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_ask", fail)
        with pytest.raises(MemoryError):
            cache.encode(["the cat"])
    check(cache, plain, ["the cat", "sat"], None)
    with pytest.raises(UnicodeEncodeError):
        cache.encode(["a\ud800"])
    check(cache, plain, ["the cat", "sat"], None)


def test_no_documents(plain: Tokenizer) -> None:
    ids, lengths = WordCache(plain, None).encode([])
    assert len(ids) == len(lengths) == 0
