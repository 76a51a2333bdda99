"""Pruned counts: the full tables without what is rare, and a model that is still a model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.cooc import (
    Counts,
    KneserNey,
    count_stream,
    merge_parts,
    open_counts,
    open_part,
    prune,
    read_pruned,
    reference_losses,
    shuffled,
)
from structinit_core.cooc.prune import PRUNED
from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.errors import IncompatibleError
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

VOCABULARY = 8
Documents = list[list[int]]


def files(documents: Documents, memory: int, min_count: int) -> dict[str, Any]:
    offsets = np.cumsum([0, *map(len, documents)])
    ids = np.array([token for document in documents for token in document], np.uint16)
    spans = np.stack((offsets[:-1], offsets[1:]), axis=1)
    with tempfile.TemporaryDirectory() as name:
        count_stream(
            TokenStream(ids, offsets),
            spans,
            VOCABULARY,
            Path(name),
            offsets=2,
            memory_bytes=memory,
            min_count=min_count,
        )
        return {
            path.name: json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)
            for path in Path(name).iterdir()
        }


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(
        st.lists(st.sampled_from([0, 0, 0, 1, 1, 5, 7]), max_size=60), min_size=1, max_size=4
    ),
    min_count=st.integers(2, 5),
    memory=st.sampled_from([1 << 12, 1 << 24]),
)
def test_pruned_tables_are_the_full_ones_without_what_is_rare(
    documents: Documents, min_count: int, memory: int
) -> None:
    full, pruned = (files(documents, 1 << 24, least) for least in (1, min_count))
    assert_equal(files(documents, memory, min_count), pruned)
    losses = pruned[PRUNED]["tables"]
    for name in ("offset1", "offset2", "trigram"):
        data, keys = (
            ("trigram.counts.npy", "trigram.keys.npy")
            if name == "trigram"
            else (f"{name}.data.npy", f"{name}.indices.npy")
        )
        kept = full[data] >= min_count
        assert np.array_equal(pruned[data], full[data][kept])
        assert np.array_equal(pruned[keys], full[keys][kept])
        loss = losses[name]
        assert loss["dropped_tokens"] == int(full[data][~kept].sum())
        assert loss["once"] == int((full[data] == 1).sum())
        assert loss["twice"] == int((full[data] == 2).sum())
    rows = np.diff(full["offset1.indptr.npy"])
    owner = np.repeat(np.arange(VOCABULARY), rows)
    rare = full["offset1.data.npy"] < min_count
    dropped = np.bincount(owner[rare], full["offset1.data.npy"][rare], VOCABULARY)
    assert pruned["pruned.rows.npy"].tolist() == dropped.tolist()
    assert PRUNED not in full


@pytest.fixture(scope="module")
def pair(book: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Counts, Counts]:
    """A novel counted in full, and without what occurs once."""
    directory = tmp_path_factory.mktemp("pruned")
    for least in (1, 2):
        source = CountSource([book], train_vocabulary=512, holdout=0.1, min_count=least)
        count_corpus(source, directory / str(least))
    return open_counts(directory / "1"), open_counts(directory / "2")


def test_rows_of_a_pruned_model_sum_to_one(pair: tuple[Counts, Counts]) -> None:
    model = KneserNey(pair[1])
    mass = np.asarray(model.direct().sum(axis=1)).ravel() + model.backoff
    np.testing.assert_allclose(mass, 1, atol=1e-12)
    every = np.arange(512)
    keys = pair[1].trigram_keys[:: len(pair[1].trigram_keys) // 40]
    bits = np.uint64(pair[1].bits)
    for key in keys.tolist():
        first, second = key >> 2 * int(bits), key >> int(bits) & ((1 << int(bits)) - 1)
        row = model.trigram_probability(np.full(512, first), np.full(512, second), every)
        assert row.min() > 0
        assert row.sum() == pytest.approx(1, abs=1e-9)


def test_a_model_of_which_everything_was_pruned_is_its_lower_order(
    book: Path, tmp_path: Path
) -> None:
    source = CountSource([book], train_vocabulary=300, min_count=10**6)
    count_corpus(source, tmp_path / "counts")
    model = KneserNey(open_counts(tmp_path / "counts"))
    every = np.arange(300)
    row = model.bigram_probability(np.full(300, int(model.totals.argmax())), every)
    np.testing.assert_allclose(row, model.continuation, atol=1e-15)
    assert model.backoff == pytest.approx(1)
    third = model.trigram_probability(np.full(300, 1), np.full(300, 2), every)
    np.testing.assert_allclose(third, row, atol=1e-15)


def test_rows_that_exceed_a_slice_are_pruned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [np.random.default_rng(0).integers(0, VOCABULARY, 300).tolist()]
    expected = files(documents, 1 << 24, 5)
    monkeypatch.setattr(prune, "_ENTRIES_AT_ONCE", 3)
    assert_equal(files(documents, 1 << 24, 5), expected)


def test_little_is_lost_with_what_is_rare(pair: tuple[Counts, Counts]) -> None:
    windows = cut_windows(pair[0].held_out_spans, 64)
    full, pruned = (
        reference_losses(KneserNey(counts), counts.held_out, windows) for counts in pair
    )
    loss = pair[1].pruned
    assert loss is not None
    assert 0.3 < loss.tables["offset1"].dropped_entries / loss.tables["offset1"].entries < 0.8
    assert loss.tables["offset1"].mass < 0.2
    assert full.kn2 < pruned.kn2 < full.kn2 + 0.1
    assert full.kn3 < pruned.kn3 < pruned.kn2 - 0.2


def test_the_control_loses_as_much(pair: tuple[Counts, Counts]) -> None:
    moved = shuffled(pair[1], 3)
    assert sorted(moved.dropped.tolist()) == sorted(pair[1].dropped.tolist())
    sums = [KneserNey(counts).backoff.sum() for counts in (pair[1], moved)]
    assert sums[0] == pytest.approx(sums[1])


def test_a_merge_prunes_the_sum(publish: Callable[..., Path], tmp_path: Path) -> None:
    halves = [[[1, 2, 3, 1, 2]], [[1, 2, 4], [3, 1, 5]]]
    parts = [open_part(publish(half, VOCABULARY)) for half in halves]
    merge_parts(parts, tmp_path, memory_bytes=1 << 20, min_count=2)
    found = {path.name: path for path in tmp_path.iterdir()}
    expected = files(halves[0] + halves[1], 1 << 24, 2)
    for name, values in expected.items():
        if name.endswith(".npy"):
            assert np.array_equal(np.load(found[name]), values), name
    pruned = read_pruned(tmp_path)
    assert pruned is not None
    assert pruned.model_dump() == expected[PRUNED]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / PRUNED).write_text("{"),
        lambda path: (path / PRUNED).write_text('{"min_count": 1, "tables": {}}'),
        lambda path: np.save(path / "pruned.rows.npy", np.zeros(3, np.int64)),
        lambda path: np.save(path / "pruned.rows.npy", np.full(VOCABULARY, -1)),
        lambda path: (path / "pruned.rows.npy").unlink(),
    ],
)
def test_damage_is_refused(publish: Callable[..., Path], damage: Callable[[Path], object]) -> None:
    def tamper(work: Path) -> None:
        text = json.dumps({"min_count": 2, "tables": {}})
        (work / PRUNED).write_text(text)
        np.save(work / "pruned.rows.npy", np.zeros(VOCABULARY, np.int64))
        damage(work)

    with pytest.raises(IncompatibleError):
        open_counts(publish([[1, 2, 3]], VOCABULARY, tamper=tamper))
