"""Cost and worth of each fit of the codes where the vocabulary is too large to take whole.

    python tests/benchmarks/large_vocabulary.py [--data DIR] [--vocabulary V …] [--width D]

WikiText-2 train and 14 novels are counted with a BPE of V tokens trained on them, or as many as
they support and the others unused (``--counts`` takes what was counted before). Printed are the
held-out loss, the seconds and the processor seconds of every fit in turn, the stated errors, and
the peak memory of the process beside the forecast. Each vocabulary runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from structinit_core.cooc import KneserNey, open_counts
from structinit_core.corpus import Border, cut_windows
from structinit_core.initializers.closed_form import LogBilinear, loss, scored_pairs
from structinit_core.initializers.closed_form.codes import factorise
from structinit_core.initializers.closed_form.recalibrate import fit_gain, scaled
from structinit_core.initializers.closed_form.solver import TableSolver
from structinit_core.progress import Silent
from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.count_source import CountSource
from structinit_core.recipes.counting import count_corpus
from structinit_core.recipes.record import peak_memory_bytes
from structinit_core.recipes.solve_plan import plan

ROOT = Path(__file__).parents[2]
FILES = ("wikitext-2/wiki.train.tokens.gz", "gutenberg-a/train.txt.gz")
CPU = torch.device("cpu")


def count(paths: list[Path], vocabulary: int, directory: Path) -> Path:
    """Counts with so many tokens; where the text supports fewer, the rest stay unused."""
    first, second = directory / f"{vocabulary}-trained", directory / f"{vocabulary}"
    texts = {"texts": paths, "offsets": 1, "border": Border.TITLE}
    count_corpus(CountSource(train_vocabulary=vocabulary, **texts), first)
    if open_counts(first).vocabulary == vocabulary:
        return first
    state = json.loads((first / "tokenizer.json").read_text())
    known = state["model"]["vocab"]
    known |= {f"<unused {at}>": at for at in range(len(known), vocabulary)}
    (directory / "tokenizer.json").write_text(json.dumps(state))
    count_corpus(CountSource(tokenizer=directory / "tokenizer.json", **texts), second)
    return second


def measure(directory: Path, width: int) -> None:
    """Print what each fit is worth and costs on these counts."""
    counts = open_counts(directory)
    model = KneserNey(counts)
    config = {
        "model_type": "gpt2",
        "vocab_size": counts.vocabulary,
        "n_embd": width,
        "n_head": width // 64,
        "n_layer": 1,
        "n_positions": 256,
        "tie_word_embeddings": False,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as written:
        json.dump(config, written)
        written.flush()
        planned = plan(ClosedFormJob(Path(written.name), counts=directory))
    pairs = scored_pairs(
        counts.held_out, cut_windows(counts.held_out_spans, 256), counts.vocabulary
    )
    print(
        f"V {counts.vocabulary}, rank {planned.prediction_rank}, "
        f"{model.totals.sum():,.0f} bigrams, "
        f"{model.bigrams.nnz:,} distinct, {pairs.total:,.0f} held out"
    )

    def step(name: str, change: Callable[[], LogBilinear]) -> LogBilinear:
        wall, cpu = time.perf_counter(), time.process_time()
        codes = change()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"  {name:24} {loss(codes, pairs):.4f} nats  {wall:7.1f} s  {cpu:7.1f} s cpu")
        return codes

    svd = step("svd", lambda: factorise(model, planned.prediction_rank, 0)[0])
    table = TableSolver(model, 0, CPU)
    gain = step("svd + gain", lambda: scaled(svd, fit_gain(svd, pairs)))
    step("svd + gain + bias", lambda: table.rebalanced(gain))
    refitted = step("refit", lambda: table.refitted(svd, Silent()))
    gain = step("refit + gain", lambda: scaled(refitted, fit_gain(refitted, pairs)))
    step("refit + gain + bias", lambda: table.rebalanced(gain))
    for name, value in table.samples.items():
        print(f"  {name:24} {value:.4g}")
    peak = f"{peak_memory_bytes() / 2**30:.2f} GiB without placing and scoring"
    print(f"  peak memory {peak}; forecast of the whole {planned.memory_bytes / 2**30:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--vocabulary", type=int, nargs="*", default=[50_257, 131_072])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--counts", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    paths = [arguments.data / name for name in FILES]
    missing = [path for path in paths if not path.is_file()]
    if missing and not arguments.counts:
        raise SystemExit(f"not there: {', '.join(map(str, missing))}")
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        counted = arguments.counts
        if not counted:
            counted = [count(paths, size, Path(temporary)) for size in arguments.vocabulary]
        for directory in counted:
            process = multiprocessing.get_context("spawn").Process(
                target=measure, args=(directory, arguments.width)
            )
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
