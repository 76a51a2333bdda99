"""Opening a counts artifact: what is in it, and every way in which it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from structinit_core.artifact import save_array
from structinit_core.cooc import open_counts
from structinit_core.errors import IncompatibleError

Publish = Callable[..., Path]
DOCUMENTS = [[0, 1, 2, 1], [3, 1, 2], [1]]
HELD_OUT = [[4, 0], [2, 3, 1]]
VOCABULARY = 5


def is_mapped(array: Any) -> bool:
    """Whether an array's memory is a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_what_was_published_is_opened(publish: Publish) -> None:
    counts = open_counts(publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT))
    assert counts.vocabulary == VOCABULARY
    assert counts.unigram.tolist() == [1, 4, 2, 1, 0]
    expected = np.zeros((2, 5, 5), int)
    for offset, a, b in [(0, 0, 1), (0, 1, 2), (0, 1, 2), (0, 2, 1), (0, 3, 1)]:
        expected[offset, a, b] += 1
    for a, b in [(0, 2), (1, 1), (3, 2)]:
        expected[1, a, b] += 1
    assert [table.toarray().tolist() for table in counts.offsets] == expected.tolist()
    packed = sorted((a << 6 | b << 3 | c) for a, b, c in [(0, 1, 2), (1, 2, 1), (3, 1, 2)])
    assert counts.bits == 3
    assert counts.trigram_keys.tolist() == packed
    assert counts.trigram_counts.tolist() == [1, 1, 1]
    assert counts.tokenizer_json == '{"a": "tokenizer"}'
    held = [counts.held_out.ids[start:stop].tolist() for start, stop in counts.held_out_spans]
    assert sorted(held) == sorted(HELD_OUT)


def test_large_arrays_stay_on_disk(publish: Publish) -> None:
    counts = open_counts(publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT))
    for table in counts.offsets:
        assert is_mapped(table.data)
        assert is_mapped(table.indices)
        assert is_mapped(table.indptr)
    assert is_mapped(counts.trigram_keys)
    assert is_mapped(counts.held_out.ids)


def test_nothing_held_out(publish: Publish) -> None:
    counts = open_counts(publish(DOCUMENTS, VOCABULARY))
    assert len(counts.held_out.ids) == 0
    assert counts.held_out_spans.shape == (0, 2)


def array(name: str, values: list[Any], dtype: Any) -> Callable[[Path], None]:
    """An edit that puts another array in the place of one."""
    return lambda work: save_array(work / f"{name}.npy", np.array(values, dtype))


SIZES = b', "documents": 5, "tokens": 13, "counted_tokens": 8, '
SIZES += b'"held_out_tokens": 5, "held_out_spans": 2}'


def text(content: bytes) -> Callable[[Path], int]:
    """An edit that replaces counts.json."""
    return lambda work: (work / "counts.json").write_bytes(content)


DISAGREEING = {
    "offsets end early": array("heldout.offsets", [0, 2, 4], np.int64),
    "offsets end late": array("heldout.offsets", [0, 2, 6], np.int64),
    "offsets start late": array("heldout.offsets", [1, 2, 5], np.int64),
    "offsets fall": array("heldout.offsets", [0, 4, 2, 5], np.int64),
    "offsets empty": array("heldout.offsets", [], np.int64),
    "offsets two-dimensional": array("heldout.offsets", [[0, 5]], np.int64),
    "offsets of a narrow type": array("heldout.offsets", [0, 2, 5], np.int32),
    "token beyond the vocabulary": array("heldout.tokens", [4, 0, 2, 3, 5], np.uint16),
    "tokens of floats": array("heldout.tokens", [4, 0, 2, 3, 1], np.float64),
    "unigram short": array("unigram", [1, 4, 2, 1], np.int64),
    "unigram long": array("unigram", [1, 4, 2, 1, 0, 0], np.int64),
    "unigram unsigned": array("unigram", [1, 4, 2, 1, 0], np.uint64),
    "more trigrams than counts": array("trigram.counts", [1, 1], np.uint32),
    "signed trigram keys": array("trigram.keys", [1, 2, 3], np.int64),
    "column beyond the vocabulary": array("offset1.indices", [1, 2, 1, 5], np.int32),
    "column negative": array("offset1.indices", [1, 2, 1, -1], np.int32),
    "rows that fall": array("offset1.indptr", [0, 1, 3, 2, 4, 4], np.int32),
    "rows missing": array("offset2.indptr", [0, 1, 3], np.int32),
    "two index widths": array("offset1.indptr", [0, 1, 2, 3, 4, 4], np.int64),
}


@pytest.mark.parametrize("tamper", DISAGREEING.values(), ids=DISAGREEING.keys())
def test_arrays_that_disagree(publish: Publish, tamper: Callable[[Path], object]) -> None:
    directory = publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT, tamper=tamper)
    with pytest.raises(IncompatibleError) as caught:
        open_counts(directory)
    assert caught.value.exit_code == 4
    assert str(directory) in (caught.value.where or "")


GARBAGE = {
    "empty": b"",
    "not utf-8": b'{"vocabulary": "\xff"}',
    "deep": b"[" * 100_000,
    "null": b"null",
    "list": b"[5, 2]",
    "no field": b"{}",
    "no offsets": b'{"vocabulary": 5' + SIZES,
    "null field": b'{"vocabulary": 5, "offsets": null' + SIZES,
    "words": b'{"vocabulary": "five", "offsets": 2' + SIZES,
    "not a number": b'{"vocabulary": NaN, "offsets": 2' + SIZES,
    "infinite": b'{"vocabulary": Infinity, "offsets": 2' + SIZES,
    "negative": b'{"vocabulary": -5, "offsets": 2' + SIZES,
    "another vocabulary": b'{"vocabulary": 6, "offsets": 2' + SIZES,
    "more offsets than files": b'{"vocabulary": 5, "offsets": 3' + SIZES,
    "no offset": b'{"vocabulary": 5, "offsets": 0' + SIZES,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_facts(publish: Publish, content: bytes) -> None:
    directory = publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT, tamper=text(content))
    with pytest.raises(IncompatibleError):
        open_counts(directory)


@pytest.mark.parametrize("other", [{"kind": "tokens"}, {"version": 2}])
def test_another_artifact(publish: Publish, other: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleError):
        open_counts(publish(DOCUMENTS, VOCABULARY, **other))


@pytest.mark.parametrize("name", ["tokenizer.json", "offset2.data.npy", "manifest.json"])
def test_a_missing_file(publish: Publish, name: str) -> None:
    directory = publish(DOCUMENTS, VOCABULARY)
    (directory / name).unlink()
    with pytest.raises(IncompatibleError):
        open_counts(directory)


def test_a_truncated_array(publish: Publish) -> None:
    directory = publish(DOCUMENTS, VOCABULARY)
    path = directory / "offset1.data.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IncompatibleError, match=r"offset1\.data\.npy"):
        open_counts(directory)


@pytest.mark.parametrize("head", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04"])
def test_bytes_that_are_no_array(publish: Publish, head: bytes) -> None:
    # as long as the array was, so that only reading it can tell
    directory = publish(DOCUMENTS, VOCABULARY)
    path = directory / "unigram.npy"
    path.write_bytes(head.ljust(path.stat().st_size, b"\xff"))
    with pytest.raises(IncompatibleError, match=r"unigram\.npy"):
        open_counts(directory)


def test_facts_that_lack_a_size(publish: Publish) -> None:
    whole = b'{"vocabulary": 5, "offsets": 2' + SIZES
    open_counts(publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT, tamper=text(whole)))
    facts = b'{"vocabulary": 5, "offsets": 2' + SIZES.replace(b"documents", b"pages")
    with pytest.raises(IncompatibleError):
        open_counts(publish(DOCUMENTS, VOCABULARY, held_out=HELD_OUT, tamper=text(facts)))
