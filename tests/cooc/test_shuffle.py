"""Shuffled identities: every number stays, under another name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from structinit_core.cooc import Counts, KneserNey, reference_losses, shuffled, shuffled_tokens
from structinit_core.corpus import cut_windows


@pytest.fixture
def control(counts: Counts) -> Counts:
    return shuffled(counts, seed=3)


@pytest.fixture
def place(counts: Counts, control: Counts) -> np.ndarray:
    """π, read off the held-out text and not off the code."""
    place = np.full(counts.vocabulary, -1)
    place[counts.held_out.ids] = control.held_out.ids
    return place


def test_held_out_text_is_renamed_one_to_one(
    counts: Counts, control: Counts, place: np.ndarray
) -> None:
    assert np.array_equal(place[counts.held_out.ids], control.held_out.ids)
    known = place[place >= 0]
    assert len(known) > 300
    assert len(np.unique(known)) == len(known)
    assert np.count_nonzero(known == np.flatnonzero(place >= 0)) < 10
    assert np.array_equal(control.held_out.offsets, counts.held_out.offsets)


def test_counts_follow_their_tokens(counts: Counts, control: Counts, place: np.ndarray) -> None:
    known = np.flatnonzero(place >= 0)
    assert np.array_equal(control.unigram[place[known]], counts.unigram[known])
    assert int(control.unigram.sum()) == int(counts.unigram.sum())
    for before, after in zip(counts.offsets, control.offsets, strict=True):
        dense, moved = before.toarray(), after.toarray()
        assert np.array_equal(
            moved[np.ix_(place[known], place[known])], dense[np.ix_(known, known)]
        )
        assert int(moved.sum()) == int(dense.sum())
        assert np.array_equal(np.sort(np.diff(after.indptr)), np.sort(np.diff(before.indptr)))


def test_smoothed_probabilities_follow_too(
    counts: Counts, control: Counts, place: np.ndarray
) -> None:
    real, renamed = KneserNey(counts), KneserNey(control)
    ids = counts.held_out.ids[:2000].astype(np.int64)
    first, second, third = ids[:-2], ids[1:-1], ids[2:]
    np.testing.assert_allclose(
        renamed.bigram_probability(place[first], place[second]),
        real.bigram_probability(first, second),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        renamed.trigram_probability(place[first], place[second], place[third]),
        real.trigram_probability(first, second, third),
        rtol=1e-12,
    )


def test_held_out_text_costs_the_same_and_the_real_text_more(
    counts: Counts, control: Counts
) -> None:
    windows = cut_windows(counts.held_out_spans, 64)
    real = reference_losses(KneserNey(counts), counts.held_out, windows)
    renamed = reference_losses(KneserNey(control), control.held_out, windows)
    for name in ("uniform", "unigram", "kn2", "kn3"):
        assert getattr(renamed, name) == pytest.approx(getattr(real, name), abs=1e-9)
    misled = reference_losses(KneserNey(control), counts.held_out, windows)
    assert misled.kn2 > real.unigram + 0.5


def test_arrays_keep_their_form(counts: Counts, control: Counts) -> None:
    assert control.unigram.dtype == counts.unigram.dtype
    for before, after in zip(counts.offsets, control.offsets, strict=True):
        for name in ("data", "indices", "indptr"):
            assert getattr(after, name).dtype == getattr(before, name).dtype
        falls = np.flatnonzero(np.diff(after.indices) <= 0) + 1
        assert np.isin(falls, after.indptr).all()
    assert control.trigram_keys.dtype == np.uint64
    assert (control.trigram_keys[1:] > control.trigram_keys[:-1]).all()
    assert control.trigram_counts.dtype == counts.trigram_counts.dtype
    assert control.held_out.ids.dtype == counts.held_out.ids.dtype
    assert control.tokenizer_json == counts.tokenizer_json
    assert control.manifest == counts.manifest


def test_other_text_is_renamed_alike(counts: Counts, control: Counts) -> None:
    ids = counts.held_out.ids
    renamed = shuffled_tokens(ids, counts.vocabulary, seed=3)
    assert renamed.dtype == ids.dtype
    assert np.array_equal(renamed, control.held_out.ids)


def test_seed_decides(counts: Counts, control: Counts) -> None:
    again, other = shuffled(counts, seed=3), shuffled(counts, seed=4)
    assert np.array_equal(again.trigram_keys, control.trigram_keys)
    assert np.array_equal(again.unigram, control.unigram)
    assert not np.array_equal(other.unigram, control.unigram)


def test_nothing_counted_and_nothing_held_out(counts: Counts) -> None:
    empty = dataclasses.replace(
        counts,
        trigram_keys=counts.trigram_keys[:0],
        trigram_counts=counts.trigram_counts[:0],
        offsets=tuple(m * 0 for m in counts.offsets),
        held_out=dataclasses.replace(counts.held_out, ids=counts.held_out.ids[:0]),
    )
    assert len(shuffled(empty, seed=0).trigram_keys) == 0
