"""``cooc --plan``: time, memory and disk of a count, measured on a sample of the text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import exp, log

import numpy as np

from structinit_core.cooc import bytes_per_window, directed_counts
from structinit_core.corpus import (
    Tokenizer,
    TokenStream,
    encoded,
    load_tokenizer,
    read_documents,
    train_tokenizer,
    vocabulary_size,
)
from structinit_core.recipes.count_plan import CountPlan, bound_counting, size_of
from structinit_core.recipes.count_source import CountSource

SAMPLE_CHARACTERS = 8_000_000
_TRAINING_CHARACTERS = 2_000_000
_START_SECONDS = 1.0
"""Imports, reading the tokenizer and the compiled kernels, hashing and publishing."""
_NEW_WORDS = 0.7
"""Exponent with which words grow that a text has not had before."""
_BATCHES = 8
_PER_TOKEN, _PER_ENTRY = 5, 4
"""Share of counting's seconds that a token has, and a distinct pair or trigram."""
_BEYOND_PAIRS = 3.0
"""Counting with scans, trigrams and files, against pairs in memory."""
_BEND = 0.05
"""How much the exponent of distinct pairs falls where the text grows by a factor e."""
_LEAST_EXPONENT = 0.3
_BASE_BYTES = 270 << 20
_BYTES_PER_DOCUMENT = 150
_BYTES_PER_PAIR, _BYTES_PER_TRIGRAM = 8, 12


def forecast_counting(source: CountSource, memory_bytes: int) -> CountPlan:
    """What counting ``source`` will take on this machine, from the first text of each file.

    The sample, eight million characters at most, is tokenized and counted; its rates and its
    distinct pairs are carried on. Distinct pairs grow as D(N)·(T/N)^β with an exponent β that
    is measured and falls slowly, see the growth benchmark, where seconds, memory and disk
    came within 30 % for real plain text; of packed text, JSONL and Parquet only the sizes of
    the files are known, and they are scaled by what is usual. A text that repeats itself needs
    less disk, one sorted by kind may differ more. A tokenizer still to be trained is trained
    on two million characters, and its seconds are a rough guess. Disk is that of all entries,
    whatever ``min_count``. Cost: a few seconds. Source: ours.

    Raises:
        InputError: an unreadable text or tokenizer.
    """
    bound = bound_counting(source, memory_bytes)
    began = time.perf_counter()
    documents, whole = _sample(source)
    reading = time.perf_counter() - began
    if not any(documents):
        return bound
    tokenizer, training = _tokenizer(source, documents)
    sample = _measured(documents, tokenizer, source.offsets)
    read = sum(len(text.encode()) for text in documents)
    text_bytes = read if whole else max(read, bound.text_bytes)
    growth = text_bytes / read
    if sample.tokens == 0:
        return bound
    share = growth / (source.shard or (0, 1))[1]
    tokens = int(sample.tokens * share)
    pairs, trigrams = sample.pairs.after(share), sample.trigrams.after(share)
    vocabulary = vocabulary_size(tokenizer)
    width = 2 if vocabulary < 1 << 16 else 4
    windows = min(tokens, memory_bytes // bytes_per_window(vocabulary, source.offsets, tokens))
    work = _PER_TOKEN * tokens + _PER_ENTRY * (pairs + trigrams)
    seconds = _START_SECONDS + (reading + training) * growth
    seconds += sample.old_words * share + sample.new_words * share**_NEW_WORDS
    seconds += _BEYOND_PAIRS * sample.counting * work / sample.work
    held = width * (max(2, source.offsets) * windows + tokens)
    held += int(pairs / source.offsets * _BYTES_PER_PAIR + trigrams * _BYTES_PER_TRIGRAM)
    return bound.model_copy(
        update={
            "text_bytes": text_bytes,
            "sampled_bytes": read,
            "estimated_tokens": tokens,
            "seconds": round(seconds, 1),
            "disk_bytes": int(
                pairs * _BYTES_PER_PAIR
                + trigrams * _BYTES_PER_TRIGRAM
                + 4 * vocabulary * (source.offsets + 2)
                + source.holdout * width * tokens
            ),
            "scratch_bytes": width * tokens,
            "memory_bytes": _BASE_BYTES
            + int(len(documents) * share * _BYTES_PER_DOCUMENT)
            + min(held, memory_bytes),
        }
    )


@dataclass(frozen=True)
class Distinct:
    """Distinct entries of a sample and of its first quarter."""

    quarter: int
    whole: int

    def after(self, growth: float) -> float:
        """How many there will be in a text ``growth`` times as long."""
        exponent = log(max(self.whole, 1) / max(self.quarter, 1)) / log(4) - _BEND * log(4) / 2
        steps = log(max(growth, 1e-9))
        if steps <= 0:
            return self.whole * growth
        bent = min(steps, max(0.0, (exponent - _LEAST_EXPONENT) / _BEND))
        rise = exponent * bent - _BEND * bent**2 / 2 + _LEAST_EXPONENT * (steps - bent)
        return self.whole * exp(rise)


@dataclass(frozen=True)
class Sample:
    """Seconds of tokenizing and of counting pairs, tokens, distinct pairs and trigrams.

    old_words: of tokenizing the sample again; new_words: what the first time took beyond.
    """

    old_words: float
    new_words: float
    counting: float
    tokens: int
    pairs: Distinct
    trigrams: Distinct

    @property
    def work(self) -> float:
        """What counting it costs, in no unit."""
        return _PER_TOKEN * self.tokens + _PER_ENTRY * (self.pairs.whole + self.trigrams.whole)


def _sample(source: CountSource) -> tuple[list[str], bool]:
    """The first documents of every file, as its share of all bytes is, and whether that is all."""
    sizes = [size_of(path) for path in source.texts]
    documents, whole = [], True
    for path, size in zip(source.texts, sizes, strict=True):
        left = SAMPLE_CHARACTERS * size / max(1, sum(sizes))
        for text in read_documents([path], border=source.border, text_field=source.text_field):
            if left <= 0:
                whole = False
                break
            documents.append(text[: max(1, int(left))])
            whole = whole and len(documents[-1]) == len(text)
            left -= len(text)
    return documents, whole


def _tokenizer(source: CountSource, documents: list[str]) -> tuple[Tokenizer, float]:
    """The tokenizer, and the seconds that training it would take on the sample."""
    if source.tokenizer is not None:
        return load_tokenizer(source.tokenizer), 0.0
    few, characters = [], 0
    for text in documents:
        few.append(text[: _TRAINING_CHARACTERS - characters])
        characters += len(few[-1])
        if characters >= _TRAINING_CHARACTERS:
            break
    began = time.perf_counter()
    tokenizer = train_tokenizer(iter(few), source.train_vocabulary or 0)
    return tokenizer, (time.perf_counter() - began) * sum(map(len, documents)) / characters


def _measured(documents: list[str], tokenizer: Tokenizer, offsets: int) -> Sample:
    list(encoded([documents[:1]], tokenizer))  # compiled code is loaded
    batches = [documents[at::_BATCHES] for at in range(min(_BATCHES, len(documents)))]
    parts, marks = [], [time.perf_counter()]
    for part in encoded(batches + batches, tokenizer):
        parts.append(part)
        marks.append(time.perf_counter())
    parts = parts[: len(batches)]
    first, both = marks[len(batches)] - marks[0], marks[-1] - marks[0]
    old_words = min(first, both - first)
    ids = np.concatenate([part for part, _ in parts])
    if len(ids) == 0:
        return Sample(0.0, 0.0, 0.0, 0, Distinct(0, 0), Distinct(0, 0))
    ends = np.cumsum(np.concatenate([lengths for _, lengths in parts]))
    stream = TokenStream(ids, np.concatenate(([0], ends)))
    spans = np.stack((stream.offsets[:-1], stream.offsets[1:]), axis=1)
    vocabulary = vocabulary_size(tokenizer)
    quarter = spans[: int(np.searchsorted(ends, len(ids) // 4)) + 1].copy()
    quarter[-1, 1] = max(1, len(ids) // 4)

    def pairs(counted: np.ndarray) -> int:
        tables = directed_counts(stream, counted, vocabulary, offsets=offsets, memory_bytes=1 << 30)
        return sum(table.nnz for table in tables)

    few = pairs(quarter)
    began = time.perf_counter()
    many = pairs(spans)
    counting = time.perf_counter() - began
    wide = ids.astype(np.uint64)
    keys = (wide[:-2] << np.uint64(42)) | (wide[1:-1] << np.uint64(21)) | wide[2:]
    kinds = Distinct(len(np.unique(keys[: int(quarter[-1, 1])])), len(np.unique(keys)))
    return Sample(old_words, first - old_words, counting, len(ids), Distinct(few, many), kinds)
