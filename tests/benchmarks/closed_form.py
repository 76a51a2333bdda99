"""Cost and worth of the main job: WikiText-2 train + 14 novels, scored on their validation text.

    python tests/benchmarks/closed_form.py [--data DIR] [--config CONFIG]

DIR holds ``wikitext-2/wiki.{train,valid}.tokens.gz`` and ``gutenberg-a/{train,valid}.txt.gz``.
The one-shot command runs twice, as processes of its own, and must write the same bytes; then the
staged commands score the checkpoint on the validation text beside the references.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from measure import initctl

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d256-l4.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--config", type=Path, default=CONFIG)
    arguments = parser.parse_args()
    data = arguments.data
    train = [data / "wikitext-2/wiki.train.tokens.gz", data / "gutenberg-a/train.txt.gz"]
    valid = [data / "wikitext-2/wiki.valid.tokens.gz", data / "gutenberg-a/valid.txt.gz"]
    if missing := [path for path in (*train, *valid) if not path.is_file()]:
        raise SystemExit(f"not there: {', '.join(map(str, missing))}")
    options = ("--documents", "title")
    with tempfile.TemporaryDirectory() as directory:
        one, two, counts = (Path(directory) / name for name in ("one", "two", "counts"))
        seconds, peaks = [], []
        for output in (one, two):
            done = initctl(
                *("closed-form", "--config", arguments.config, "--corpus", *train, *options),
                *("--train-tokenizer", 8192, "-o", output),
            )
            seconds.append(done.wall)
            peaks.append(done.peak)
        differing = [
            path.name
            for path in one.iterdir()
            if path.name != "run.json" and path.read_bytes() != (two / path.name).read_bytes()
        ]
        initctl("cooc", *train, *options, "--train-tokenizer", 8192, "-o", counts)
        texts = [part for path in valid for part in ("--text", path)]
        scored = initctl("diagnose", one, "--counts", counts, *texts, *options, "--json")
        stages = json.loads((two / "run.json").read_text())["seconds"]
    checks = json.loads(scored.output)["checks"]
    value = {check["name"]: check["value"] for check in checks if not check["tensor"]}
    print(f"config: {arguments.config.name}")
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    print(f"whole command, wall seconds: {', '.join(f'{s:.1f}' for s in seconds)}  (bar: 240)")
    print(f"peak memory, GiB: {', '.join(f'{p:.2f}' for p in peaks)}  (bar: 3)")
    print(f"files that differ between the two runs: {differing or 'none'}  (bar: none)")
    print("seconds by stage:", ", ".join(f"{name} {spent:.1f}" for name, spent in stages.items()))
    print(f"nats on {value['scored']:,} validation tokens:")
    for name in ("uniform", "unigram", "model", "kn2", "kn3"):
        print(f"  {name:8} {value[f'loss.{name}']:.4f}")
    print(f"model - KN-2: {value['gap.kn2']:+.4f}  (bar: +0.20)")
    print(f"model - unigram: {value['gap.unigram']:+.4f}  (bar: -1.0)")


if __name__ == "__main__":
    main()
