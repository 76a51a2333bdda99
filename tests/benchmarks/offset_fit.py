"""Cost and worth of the fits on WikiText-2: both refits of the bigram, then the offsets.

    taskset -c 0 python tests/benchmarks/offset_fit.py [--data DIR] [--vocabulary 4096]

DIR holds ``wikitext-2/wiki.train.tokens.gz``. Losses are those of the factors alone, without
attention or norms, on the text held out of the counts; seconds are of the CPU, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from structinit_core.cooc import KneserNey, open_counts
from structinit_core.corpus import Border, cut_windows
from structinit_core.initializers.closed_form import LogBilinear, loss, scored_pairs
from structinit_core.initializers.closed_form.codes import factorise
from structinit_core.initializers.closed_form.contexts import scored_contexts
from structinit_core.initializers.closed_form.offset_fit import fit_offsets
from structinit_core.initializers.closed_form.solver import TableSolver
from structinit_core.progress import Silent
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus

ROOT = Path(__file__).parents[2]
LAGS, RANK, IDENTITY, HEAD_RANK = (1, 2, 1, 3), 80, 28, 32
"""Of a GPT-2 with d=128 and 4 heads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--vocabulary", type=int, default=4096)
    arguments = parser.parse_args()
    text = arguments.data / "wikitext-2" / "wiki.train.tokens.gz"
    if not text.is_file():
        raise SystemExit(f"not there: {text}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        counts = Path(directory) / "counts"
        source = CountSource([text], train_vocabulary=arguments.vocabulary, border=Border.TITLE)
        count_corpus(source, counts)
        model = KneserNey(open_counts(counts))
        windows = cut_windows(model.counts.held_out_spans, 128)
        pairs = scored_pairs(model.counts.held_out, windows, model.vocabulary)
        start = factorise(model, RANK, seed=0)[0]
        solver = TableSolver(model, 0, torch.device("cpu"))

        def refitted(order: int) -> LogBilinear:
            began = time.process_time()
            codes = solver.refitted(start, Silent(), order)
            spent = time.process_time() - began
            print(f"refit of order {order}: {spent:.1f} s, held out {loss(codes, pairs):.4f}")
            return codes

        refitted(2)
        codes, began = solver.rebalanced(refitted(1)), time.process_time()
        fitted = fit_offsets(
            codes,
            model,
            LAGS,
            IDENTITY,
            HEAD_RANK,
            windows=windows,
            seed=0,
            progress=Silent(),
        )
        spent = time.process_time() - began
        found = scored_contexts(model.counts.held_out, windows, 4, model.vocabulary)
        after = fitted.loss(*(torch.from_numpy(part) for part in found))
        print(f"bigram: held out {loss(codes, pairs):.4f}")
        print(f"offsets: {spent:.1f} s, held out {after:.4f}")


if __name__ == "__main__":
    main()
