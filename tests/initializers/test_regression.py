"""The figure the method rests on: the refitted codes are as good as the table itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from structinit_core.cooc import KneserNey, open_counts, reference_losses
from structinit_core.corpus import Border, cut_windows
from structinit_core.initializers.closed_form.codes import factorise, loss, scored_pairs
from structinit_core.initializers.closed_form.refit import refit, target_table
from structinit_core.progress import Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

NOVELS = Path(__file__).parents[3] / "shared" / "data" / "gutenberg-a" / "train.txt.gz"


@pytest.mark.slow
@pytest.mark.skipif(not NOVELS.is_file(), reason="gutenberg-a is not beside the checkout")
def test_rank_100_at_vocabulary_4096_reaches_kn2_within_two_hundredths(tmp_path: Path) -> None:
    source = CountSource([NOVELS], train_vocabulary=4096, border=Border.TITLE, offsets=1)
    count_corpus(source, tmp_path / "counts")
    counts = open_counts(tmp_path / "counts")
    model = KneserNey(counts)
    windows = cut_windows(counts.held_out_spans, 128)
    held_out = scored_pairs(counts.held_out, windows, counts.vocabulary)
    codes, _ = factorise(model, 100, seed=0)
    refitted = refit(codes, target_table(model, torch.device("cpu")), Silent())
    exact = reference_losses(model, counts.held_out, windows).kn2
    assert loss(codes, held_out) > exact + 0.3
    assert loss(refitted, held_out) < exact + 0.02
