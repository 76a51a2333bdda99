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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d256-l4.json"


def run(*arguments: object) -> tuple[dict[str, object], float, float]:
    """Parsed stdout, wall seconds and peak memory in GiB of one ``initctl`` process."""
    command = [sys.executable, "-m", "initctl", *map(str, arguments), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return json.loads(text), time.perf_counter() - began, usage.ru_maxrss / 2**20


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
            _, wall, peak = run(
                *("closed-form", "--config", arguments.config, "--corpus", *train, *options),
                *("--train-tokenizer", 8192, "-o", output),
            )
            seconds.append(wall)
            peaks.append(peak)
        differing = [
            path.name
            for path in one.iterdir()
            if path.name != "run.json" and path.read_bytes() != (two / path.name).read_bytes()
        ]
        run("cooc", *train, *options, "--train-tokenizer", 8192, "-o", counts)
        texts = [part for path in valid for part in ("--text", path)]
        report, _, _ = run("diagnose", one, "--counts", counts, *texts, *options)
        stages = json.loads((two / "run.json").read_text())["seconds"]
    value = {check["name"]: check["value"] for check in report["checks"] if not check["tensor"]}
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
