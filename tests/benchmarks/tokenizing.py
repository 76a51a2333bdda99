"""Text to token ids, against ``tokenizers.encode_batch_fast`` on the same cores, ids compared.

    python tests/benchmarks/tokenizing.py [--data DIR] [--cores N] [--rounds N]

DIR holds ``wikitext-2/wiki.train.tokens.gz`` and ``gutenberg-a/train.txt.gz``; byte-level BPE of
8192 and 50,000 tokens are trained on them. Both sides get the same batches of documents in memory
and give numpy arrays; ours begins every round with an empty cache. Memory is touched before each
timing and the sides take turns, since the machine may be shared: CPU seconds tell more than wall.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
VOCABULARIES = (8192, 50_000)
BALLAST = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=2, metavar=("SIDE", "TOKENIZER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[-arguments.cores :]
    os.sched_setaffinity(0, cores)
    os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(len(cores))
    batches = read(arguments.data)
    if arguments.once:
        side, tokenizer = arguments.once
        sides(Path(tokenizer), batches)[side]()
        print(peak_kilobytes())
        return
    size = sum(len(text.encode()) for batch in batches for text in batch)
    print(f"machine: {len(cores)} of {os.cpu_count()} cores, {platform.machine()}, ", end="")
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(f"text: {size / 1e6:.1f} MB in {sum(map(len, batches)):,} documents")
    with tempfile.TemporaryDirectory() as directory:
        for vocabulary in VOCABULARIES:
            path = Path(directory) / f"{vocabulary}.json"
            train(batches, vocabulary, path)
            compare(path, batches, vocabulary, arguments)


def peak_kilobytes() -> int:
    """Of this process alone: ``ru_maxrss`` would begin with what the parent held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def read(data: Path) -> list[list[str]]:
    from structinit_core.corpus import read_documents
    from structinit_core.corpus.tokens import in_batches

    paths = [data / "wikitext-2/wiki.train.tokens.gz", data / "gutenberg-a/train.txt.gz"]
    if missing := [path for path in paths if not path.is_file()]:
        raise SystemExit(f"not there: {', '.join(map(str, missing))}")
    return list(in_batches(read_documents(paths)))


def train(batches: list[list[str]], vocabulary: int, path: Path) -> None:
    from structinit_core.corpus import serialise, train_tokenizer

    tokenizer = train_tokenizer((text for batch in batches for text in batch), vocabulary)
    path.write_text(serialise(tokenizer), encoding="utf-8")


def sides(path: Path, batches: list[list[str]]) -> dict[str, Callable[[], object]]:
    """What is compared: both give the framed ids of every batch."""
    from structinit_core.corpus import find_frame, load_tokenizer
    from structinit_core.corpus.encoding import encoded, library_encoder

    tokenizer = load_tokenizer(path)
    by_library = library_encoder(tokenizer, find_frame(tokenizer))
    return {
        "ours": lambda: [ids for ids, _ in encoded(batches, tokenizer)],
        "library": lambda: [by_library(batch)[0] for batch in batches],
    }


def compare(
    path: Path, batches: list[list[str]], vocabulary: int, arguments: argparse.Namespace
) -> None:
    import numpy as np

    work = sides(path, batches)
    work["ours"]()  # compiled code is loaded
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    tokens = 0
    for at in range(arguments.rounds):
        found = {}
        for name in sorted(work, reverse=bool(at % 2)):
            np.ones(BALLAST, np.uint8)
            wall, spent = time.perf_counter(), time.process_time()
            found[name] = np.concatenate(work[name]())
            seconds[name].append((time.perf_counter() - wall, time.process_time() - spent))
        if not np.array_equal(found["ours"], found["library"]):
            raise SystemExit("the ids differ")
        tokens = len(found["ours"])
    print(f"vocabulary {vocabulary:,}: {tokens:,} tokens, identical")
    for kind, index in (("wall", 0), ("CPU", 1)):
        ours = [pair[index] for pair in seconds["ours"]]
        library = [pair[index] for pair in seconds["library"]]
        ratios = sorted(b / a for a, b in zip(ours, library, strict=True))
        print(
            f"  {kind:4} ratio {statistics.median(ratios):5.1f} ({ratios[0]:.1f}–{ratios[-1]:.1f};"
            f" bar 2)   M tokens/s: ours {tokens / statistics.median(ours) / 1e6:.2f},"
            f" library {tokens / statistics.median(library) / 1e6:.2f}"
        )
    for name in work:
        command = [sys.executable, __file__, "--data", str(arguments.data)]
        command += ["--cores", str(arguments.cores), "--once", name, str(path)]
        peak = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        print(f"  peak memory of a process that does {name}, text and all: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
