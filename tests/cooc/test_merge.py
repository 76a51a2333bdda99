"""A merge is byte for byte the count of everything, whatever the parts, tree and memory."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import count as count_up
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import MANIFEST, Manifest, Recipe, save_array
from structinit_core.artifact.manifest import describe_files
from structinit_core.cooc import (
    COUNTS_KIND,
    COUNTS_VERSION,
    merge_parts,
    open_counts,
    open_part,
)
from structinit_core.cooc.sums import BYTES_PER_ENTRY
from structinit_core.errors import IncompatibleError, LimitError

Publish = Callable[..., Path]
VOCABULARY = 5
TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=10)


def content(directory: Path) -> dict[str, bytes]:
    """Every hashed file."""
    own = ("manifest.json", "run.json")
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name not in own}


def merged(parts: Sequence[Path], output: Path, memory: int = 1 << 20) -> Path:
    """The files of a merge, without a manifest."""
    output.mkdir()
    opened = [open_part(path) for path in parts]
    merge_parts(opened, output, memory_bytes=memory)
    return output


def draw(seed: int, count: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, VOCABULARY, n).tolist() for n in rng.integers(1, 15, count)]


def add_manifest(directory: Path) -> Path:
    """Make a directory of counts an artifact, without the cost of publishing one."""
    recipe = Recipe(kind=COUNTS_KIND, version=COUNTS_VERSION, params={}, inputs=())
    manifest = Manifest(recipe=recipe, key=recipe.key, files=describe_files(directory, {}))
    (directory / MANIFEST).write_text(manifest.model_dump_json(by_alias=True))
    return directory


@settings(max_examples=25, deadline=None)
@given(
    documents=st.lists(st.tuples(TOKENS, st.booleans(), st.integers(0, 3)), max_size=8),
    order=st.permutations(range(4)),
    tree=st.sampled_from(["flat", "left", "right", "pairs"]),
    memory=st.sampled_from([4 * BYTES_PER_ENTRY, 7 * BYTES_PER_ENTRY, 1 << 20]),
)
def test_any_partition_any_tree_any_order_same_bytes(
    write_counts: Callable[..., None], documents: Any, order: list[int], tree: str, memory: int
) -> None:
    with TemporaryDirectory() as scratch:
        places = (Path(scratch) / str(number) for number in count_up())

        def count(of: Sequence[int]) -> Path:
            mine = [(ids, held) for ids, held, owner in documents if owner in of]
            counted, held_out = (
                [ids for ids, held in mine if held is side] for side in (False, True)
            )
            output = next(places)
            output.mkdir()
            write_counts(output, counted, VOCABULARY, held_out)
            return add_manifest(output)

        def merge(*parts: Path) -> Path:
            return add_manifest(merged(parts, next(places), memory))

        a, b, c, d = (count([owner]) for owner in order)
        trees = {
            "flat": lambda: merge(a, b, c, d),
            "left": lambda: merge(merge(merge(a, b), c), d),
            "right": lambda: merge(a, merge(b, merge(c, d))),
            "pairs": lambda: merge(merge(a, b), merge(c, d)),
        }
        assert content(trees[tree]()) == content(count(range(4)))


def huge(count: int) -> Callable[[Path], None]:
    """An edit: every count of a one-pair corpus becomes ``count``."""

    def edit(work: Path) -> None:
        facts = (
            (work / "counts.json")
            .read_text()
            .replace('"counted_tokens": 3', f'"counted_tokens": {3 * count}')
        )
        (work / "counts.json").write_text(facts)
        save_array(work / "unigram.npy", np.load(work / "unigram.npy") * count)
        width = np.uint32 if 3 * count < 2**32 else np.uint64
        for name in ("offset1.data", "offset2.data", "trigram.counts"):
            values = np.load(work / f"{name}.npy").astype(np.uint64) * np.uint64(count)
            save_array(work / f"{name}.npy", values.astype(width))

    return edit


@pytest.mark.parametrize(
    ("counts", "data", "index"),
    [
        ([2**29, 2**29 - 1], np.uint32, np.int64),
        ([2**28, 2**28], np.uint32, np.int32),
        ([2**30, 2**30], np.uint64, np.int64),
        ([2**61, 5], np.uint64, np.int64),
    ],
)
def test_widths_are_those_of_the_sum(
    publish: Publish, tmp_path: Path, counts: list[int], data: Any, index: Any
) -> None:
    parts = [publish([[0, 1, 2]], 3, tamper=huge(count)) for count in counts]
    output = merged(parts, tmp_path / "sum")
    for name in ("offset1.data", "offset2.data", "trigram.counts"):
        values = np.load(output / f"{name}.npy")
        assert values.dtype == data
        assert set(values.tolist()) == {sum(counts)}
    for name in ("indptr", "indices"):
        assert np.load(output / f"offset1.{name}.npy").dtype == index
    assert np.load(output / "unigram.npy").tolist() == [sum(counts)] * 3
    add_manifest(output)
    assert int(open_counts(output).offsets[0].sum()) == 2 * sum(counts)


def test_memory_is_bounded(publish: Publish, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corpora = [rng.integers(0, 400, (40, 500)).tolist() for _ in range(2)]
    parts = [publish(documents, 400, held_out=documents[:10]) for documents in corpora]
    whole = publish(corpora[0] + corpora[1], 400, held_out=corpora[0][:10] + corpora[1][:10])
    memory = 1 << 20
    tracemalloc.start()
    try:
        output = merged(parts, tmp_path / "sum", memory)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 * memory < peak < memory + (1 << 18)
    assert content(output) == content(whole)


def test_parts_keep_no_file_open(publish: Publish, tmp_path: Path) -> None:
    part = open_part(publish(draw(0, 3), VOCABULARY, held_out=draw(1, 2)))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 16, before[1]))
    try:
        merge_parts([part] * 100, tmp_path, memory_bytes=1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    unigram = np.load(tmp_path / "unigram.npy")
    assert unigram.sum() == 100 * part.facts.counted_tokens


def test_less_memory_than_an_entry_a_part(publish: Publish, tmp_path: Path) -> None:
    parts = [open_part(publish(draw(seed, 2), VOCABULARY)) for seed in range(3)]
    with pytest.raises(LimitError, match="merging 3 counts") as caught:
        merge_parts(parts, tmp_path, memory_bytes=3 * BYTES_PER_ENTRY - 1)
    assert caught.value.exit_code == 6
    assert list(tmp_path.iterdir()) == []


def array(name: str, values: list[Any], dtype: Any) -> Callable[[Path], None]:
    """An edit that puts another array in the place of one."""
    return lambda work: save_array(work / f"{name}.npy", np.array(values, dtype))


DOCUMENTS = [[0, 1, 2, 1], [3, 1, 2], [1]]
DAMAGED = {
    "unigram of another sum": array("unigram", [1, 4, 2, 2, 0], np.int64),
    "unigram negative": array("unigram", [1, 5, 2, 1, -1], np.int64),
    "unigram short": array("unigram", [1, 4, 2, 1], np.int64),
    "column beyond the vocabulary": array("offset1.indices", [1, 2, 1, 5], np.int32),
    "column negative": array("offset1.indices", [1, 2, 1, -1], np.int32),
    "columns out of order": array("offset2.indptr", [0, 3, 3, 3, 3, 3], np.int32),
    "rows that fall": array("offset1.indptr", [0, 3, 1, 3, 4, 4], np.int32),
    "rows missing": array("offset1.indptr", [0, 1, 2, 4], np.int32),
    "more columns than counts": array("offset1.data", [1, 2, 1], np.uint32),
    "a count of nothing": array("offset1.data", [1, 2, 0, 1], np.uint32),
    "a count beyond the tokens": array("offset1.data", [1, 9, 1, 1], np.uint32),
    "trigrams out of order": array("trigram.keys", [80, 10, 200], np.uint64),
    "more trigrams than counts": array("trigram.counts", [1, 1], np.uint32),
    "a trigram beyond the tokens": array("trigram.counts", [1, 9, 1], np.uint32),
    "held-out offsets end late": array("heldout.offsets", [0, 9], np.int64),
}


@pytest.mark.parametrize("tamper", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("memory", [2 * BYTES_PER_ENTRY, 1 << 20])
def test_damaged_parts_are_refused(
    publish: Publish, tmp_path: Path, tamper: Callable[[Path], None], memory: int
) -> None:
    good = publish(DOCUMENTS, VOCABULARY)
    bad = publish(DOCUMENTS, VOCABULARY, tamper=tamper)
    with pytest.raises(IncompatibleError) as caught:
        merged([good, bad], tmp_path / "sum", memory)
    assert str(bad) in (caught.value.where or "")
