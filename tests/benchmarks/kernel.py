"""Cost of ``k0 --method power`` at V = 50,000 on counts of 14 million tokens.

    python tests/benchmarks/kernel.py [--data DIR] [--counts COUNTS] [--dim D …] [--jobs N]

The text is that of corpus.py, counted with a BPE of 50,000 tokens trained on it; ``--counts``
takes what was counted before. Each width runs as a process of its own. Printed are processor
seconds, peak memory beside the forecast, and the report's own statement of the error; then
the seconds of the dense forms at V = 2,048, of which the default limit allows 8,192.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from corpus import DATA, paragraphs
from measure import initctl

ROOT = Path(__file__).parents[2]
NOVEL = ROOT / "fixtures" / "corpora" / "frankenstein.txt.gz"


def count(data: Path, directory: Path) -> Path:
    """The counts of the whole text, a paragraph a document."""
    text = directory / "text.txt"
    text.write_text("\n".join(paragraphs(data)), encoding="utf-8")
    options = ("--documents", "line", "--train-tokenizer", 50_000, "-o", directory / "counts")
    initctl("cooc", text, *options)
    return directory / "counts"


def measure(counts: Path, output: Path, *options: object) -> None:
    """Print what one run took and found."""
    arguments = ("k0", counts, *options, "--memory", "8G", "-o", output)
    plan = json.loads(initctl(*arguments, "--plan").output)
    done = initctl(*arguments)
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    found = {check["name"]: check["value"] for check in report["checks"]}
    print(
        f"{plan['method']:6} V {plan['vocabulary']:,}  d {plan['dimensions']}  "
        f"{found['distinct_pairs']:,} pairs: {done.cpu:.1f} CPU s, {done.peak:.2f} GiB "
        f"(forecast {plan['memory_bytes'] / 2**30:.2f})"
    )
    for name in ("krylov_columns", "largest_relative_residual", "energy_share", "k0.norm"):
        if name in found:
            print(f"       {name} {found[name]:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--counts", type=Path)
    parser.add_argument("--dim", type=int, nargs="*", default=[256, 768])
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    jobs = ("--jobs", arguments.jobs)
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        counts = arguments.counts or count(arguments.data, directory)
        for dim in arguments.dim:
            measure(counts, directory / f"power{dim}", "--dim", dim, *jobs)
        small = directory / "small"
        initctl("cooc", NOVEL, "--train-tokenizer", 2048, "-o", small)
        for method in ("derive", "fft"):
            options = ("--method", method, "--dim", 64)
            measure(small, directory / method, *options, *jobs)


if __name__ == "__main__":
    main()
