"""Batches of documents to framed token ids: by the word cache where it is exact, else not."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers

from structinit_core.corpus.pretokens import CharacterClasses, cut_pretokens
from structinit_core.corpus.tokenizer import Frame, find_frame, library_faults
from structinit_core.corpus.word_cache import WordCache

Encoded = tuple[NDArray[np.uint32], NDArray[np.int64]]
"""The framed ids of a batch's documents in order, and how many each document has."""
_AHEAD = 2
_TOO_NEW = 0.5
"""Share of a batch's text that the cache did not know, above which it costs more than it saves."""
_REST = 15
"""Batches that go by the library before the cache is tried again."""
_CUT_LIKE_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_FRAMING = ("ByteLevel", "BertProcessing", "RobertaProcessing")
"""Post-processors that add nothing but special tokens, which are not asked for."""
_TRIAL = "It's  we'll\tx're 'd 'S\n\n a\r\n ''ve' 1½² ῼ٣_—\u3000\xa0e\u0301\x1c\x85 \u200b日本 🙂  "


def encoded(
    batches: Iterable[Sequence[str]], tokenizer: Tokenizer
) -> Generator[Encoded, None, None]:
    """The ids of each batch in order; a thread encodes while the next batches are read.

    Every document is framed by the tokenizer's begin and end tokens where it has them; the
    spelling of a special token is encoded as the text it is. Cost: that of :class:`WordCache`
    where :func:`cuts_like_gpt2` is true and words come again, else the library's. Memory: four
    batches and their ids.

    Raises:
        InputError: text the tokenizer cannot encode.
    """
    encode = library_encoder(tokenizer, find_frame(tokenizer))
    if cuts_like_gpt2(tokenizer):
        encode = _cached(WordCache(tokenizer, find_frame(tokenizer)), encode)

    def work(batch: Sequence[str]) -> Encoded:
        with library_faults("the tokenizer cannot encode the text"):
            return encode(batch)

    with _as_text(tokenizer), ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Encoded]] = deque()
        try:
            for batch in batches:
                waiting.append(thread.submit(work, batch))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def cuts_like_gpt2(tokenizer: Tokenizer) -> bool:
    """Whether a text's ids are those of its pre-tokens by GPT-2's pattern, each by itself.

    True of a BPE without dropout whose pre-tokenizer is ``ByteLevel`` with its pattern and
    no prefix space; without normalizer, truncation, padding, a template that repeats the text
    or added tokens other than special ones; if the library cuts a trial text as we do.
    """
    facts = json.loads(tokenizer.to_str())
    cut = {key: (facts["pre_tokenizer"] or {}).get(key) for key in _CUT_LIKE_GPT2}
    return (
        facts["model"].get("type") == "BPE"
        and not facts["model"].get("dropout")
        and cut == _CUT_LIKE_GPT2
        and all(facts[part] is None for part in ("normalizer", "truncation", "padding"))
        and all(token["special"] for token in facts["added_tokens"])
        and _only_frames(facts["post_processor"])
        and _cuts_the_trial(tokenizer.pre_tokenizer)
    )


def _only_frames(processor: dict[str, Any] | None) -> bool:
    if processor is None or processor["type"] in _FRAMING:
        return True
    if processor["type"] == "Sequence":
        return all(map(_only_frames, processor["processors"]))
    if processor["type"] == "TemplateProcessing":
        return sum("Sequence" in piece for piece in processor["single"]) == 1
    return False


def _cuts_the_trial(split: pre_tokenizers.PreTokenizer) -> bool:
    theirs = [_TRIAL[begin:end] for _, (begin, end) in split.pre_tokenize_str(_TRIAL)]
    return cut_pretokens(_TRIAL, CharacterClasses(split)) == theirs


def library_encoder(
    tokenizer: Tokenizer, frame: Frame | None
) -> Callable[[Sequence[str]], Encoded]:
    """The library's own way to encode and frame a batch."""
    begin, end = ([frame.begin_id], [frame.end_id]) if frame else ([], [])

    def encode(batch: Sequence[str]) -> Encoded:
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ids = [np.array(begin + encoding.ids + end, np.uint32) for encoding in encodings]
        return np.concatenate(ids), np.array([len(part) for part in ids], np.int64)

    return encode


def _cached(
    cache: WordCache, by_library: Callable[[Sequence[str]], Encoded]
) -> Callable[[Sequence[str]], Encoded]:
    """By the cache; where pre-tokens seldom come again, as in Chinese, mostly by the library."""
    rest = 0

    def encode(batch: Sequence[str]) -> Encoded:
        nonlocal rest
        if rest:
            rest -= 1
            return by_library(batch)
        found = cache.encode(batch)
        rest = _REST if cache.new > _TOO_NEW else 0
        return found

    return encode


@contextmanager
def _as_text(tokenizer: Tokenizer) -> Iterator[None]:
    """Encode the spelling of a special token as the text it is."""
    before = tokenizer.encode_special_tokens
    tokenizer.encode_special_tokens = True
    try:
        yield
    finally:
        tokenizer.encode_special_tokens = before
