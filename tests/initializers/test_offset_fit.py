from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.cooc import KneserNey, open_counts
from structinit_core.corpus import cut_windows
from structinit_core.errors import NumericalError
from structinit_core.initializers.closed_form import offset_fit
from structinit_core.initializers.closed_form.codes import (
    LogBilinear,
    factorise,
    loss,
    scored_pairs,
)
from structinit_core.initializers.closed_form.contexts import TextContexts, scored_contexts
from structinit_core.initializers.closed_form.offset_fit import fit_offsets
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.refit import refit, target_table
from structinit_core.progress import Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

CPU = torch.device("cpu")
FIXTURES = Path(__file__).parents[2] / "fixtures"


class Counting(Silent):
    """How many steps a fit took."""

    def __init__(self) -> None:
        self.steps = 0

    def advance(self, steps: int = 1) -> None:
        self.steps += steps


@pytest.fixture
def windows(smoothed: KneserNey) -> np.ndarray:
    return cut_windows(smoothed.counts.held_out_spans, 64)


@pytest.fixture
def bigram(smoothed: KneserNey, codes: LogBilinear) -> LogBilinear:
    return refit(codes, target_table(smoothed, CPU), Silent())


def fit(
    start: LogBilinear, model: KneserNey, windows: np.ndarray, **options: object
) -> OffsetModel:
    return fit_offsets(
        start,
        model,
        (1, 2),
        8,
        16,
        **{"windows": windows, "seed": 0, "progress": Silent()} | options,
    )


def judged(model: OffsetModel, counted: KneserNey, windows: np.ndarray) -> float:
    held_out = scored_contexts(counted.counts.held_out, windows, 3, counted.vocabulary)
    return model.loss(*(torch.from_numpy(part) for part in held_out))


def test_offsets_predict_unseen_text_better_than_the_bigram(
    smoothed: KneserNey, bigram: LogBilinear, windows: np.ndarray
) -> None:
    model = fit(bigram, smoothed, windows, steps=60)
    pairs = scored_pairs(smoothed.counts.held_out, windows, smoothed.vocabulary)
    assert judged(model, smoothed, windows) < loss(bigram, pairs) - 0.05


def test_the_prior_shortens_what_tokens_add(
    smoothed: KneserNey, bigram: LogBilinear, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(prior: float) -> float:
        monkeypatch.setattr(offset_fit, "_PRIOR", prior)
        return float(next(fit(bigram, smoothed, windows[:0], steps=40).additions()).norm())

    assert size(1000.0) < 0.6 * size(0.0)


@pytest.mark.slow
def test_priors_keep_a_single_novel_below_the_bigram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some fifty occurrences a token; without windows only the priors stand against them."""
    novel = FIXTURES / "corpora" / "frankenstein.txt.gz"
    count_corpus(CountSource([novel], train_vocabulary=2048), tmp_path / "counts")
    thin = KneserNey(open_counts(tmp_path / "counts"))
    windows = cut_windows(thin.counts.held_out_spans, 128)
    start = refit(factorise(thin, 80, seed=0)[0], target_table(thin, CPU), Silent())
    before = loss(start, scored_pairs(thin.counts.held_out, windows, thin.vocabulary))

    def after() -> float:
        fitted = fit_offsets(
            start, thin, (1, 2), 28, 32, windows=windows[:0], seed=0, progress=Silent(), steps=60
        )
        return judged(fitted, thin, windows)

    held = after()
    monkeypatch.setattr(offset_fit, "_PRIOR", 0.0)
    monkeypatch.setattr(offset_fit, "_ANCHOR", 0.0)
    assert held < before < after()


def test_the_best_look_is_returned_and_two_without_a_gain_end_the_fit(
    smoothed: KneserNey, bigram: LogBilinear, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    looked: list[OffsetModel] = []

    def look(model: OffsetModel, *_: torch.Tensor) -> float:
        looked.append(dataclasses.replace(model, identity=model.identity.clone()))
        return next(losses)

    monkeypatch.setattr(OffsetModel, "loss", look)
    monkeypatch.setattr(offset_fit, "_CHECK_STEPS", 2)
    progress = Counting()
    best = fit(bigram, smoothed, windows, steps=50, progress=progress)
    assert progress.steps == 8
    assert torch.equal(best.identity, looked[1].identity)
    assert not torch.equal(best.identity, looked[2].identity)


def test_contexts_of_the_text_are_those_that_are_fitted_on(
    smoothed: KneserNey, bigram: LogBilinear, windows: np.ndarray
) -> None:
    """A text of one word tells nothing of any other: what stands after others stays."""
    one = TextContexts(np.full(50, 7, np.uint16), np.array([[0, 50]]))
    short = TextContexts(one.ids, np.array([[0, 2]]))
    fitted, counted, fallen_back = (
        fit(bigram, smoothed, windows[:0], steps=1, text=text) for text in (one, None, short)
    )
    begun = fit(bigram, smoothed, windows[:0], steps=0)
    moved = (fitted.codes.left - begun.codes.left).abs().sum(dim=1)
    assert moved.argmax() == 7
    assert torch.equal(fallen_back.codes.left, counted.codes.left)
    assert not torch.equal(fitted.codes.left, counted.codes.left)


def test_shared_reads_are_fitted_too(
    smoothed: KneserNey, bigram: LogBilinear, windows: np.ndarray
) -> None:
    shared = fit(bigram, smoothed, windows, steps=40, groups=2)
    assert len(shared.read) == 1
    assert len(shared.write) == 2
    assert judged(shared, smoothed, windows) < judged(
        fit(bigram, smoothed, windows, steps=1), smoothed, windows
    )


def test_fitting_twice_gives_the_same_bytes(
    smoothed: KneserNey, codes: LogBilinear, windows: np.ndarray
) -> None:
    one, other = (fit(codes, smoothed, windows, steps=3) for _ in "ab")
    assert torch.equal(one.codes.right, other.codes.right)
    assert torch.equal(one.identity, other.identity)
    assert torch.equal(one.write[1], other.write[1])


def test_non_finite_codes_are_refused(
    smoothed: KneserNey, codes: LogBilinear, windows: np.ndarray
) -> None:
    broken = dataclasses.replace(codes, left=codes.left * torch.inf)
    with pytest.raises(NumericalError):
        fit(broken, smoothed, windows, steps=1)
