"""How the cost of ``initctl cooc`` grows with the text and the vocabulary, and what it forecasts.

    python tests/benchmarks/growth.py -o DIR [--data DIR] [--largest 300e6] [--jobs 1]

Writes ``growth.json`` and ``growth.png``. Byte-level BPE tokenizers of 4,096 to 131,072 tokens are
trained on the real text of ``corpus.py`` and kept in DIR. Texts of 1 to 300 million tokens are its
paragraphs, shuffled by seed: every one once, then drawn again and again, so beyond some 14 million
tokens no new pair can come, and exponents of distinct pairs are fitted up to there alone. Every
count is a process of its own; seconds and memory are those of its ``run.json``. Before each, the
forecast of ``--plan`` is taken, and compared with what the run took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from corpus import DATA, paragraphs

VOCABULARIES = (4096, 16_384, 50_000, 131_072)
BASE, MIDDLE = 50_000, 30e6
BYTES_PER_TOKEN = 4.5
SERIES = ("seconds", "peak_memory_bytes", "disk_bytes", "pairs", "trigrams")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--largest", type=float, default=300e6)
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    texts = paragraphs(arguments.data)
    random.Random(0).shuffle(texts)
    distinct = sum(len(text.encode()) for text in texts)
    train(texts, arguments.output)
    sizes = [size for size in (1e6, 3e6, 10e6, 30e6, 100e6, 300e6) if size <= arguments.largest]
    cells = [(size, BASE) for size in sizes]
    cells += [(min(MIDDLE, sizes[-1]), v) for v in VOCABULARIES if v != BASE]
    runs = []
    for vocabulary in VOCABULARIES:
        measure(texts, 1e5, vocabulary, arguments)  # kernels are compiled once per machine
    for size, vocabulary in sorted(cells):
        runs.append(measure(texts, size, vocabulary, arguments))
        line = {key: value for key, value in runs[-1].items() if key != "stages"}
        print(json.dumps(line), flush=True)
    result = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, --jobs {arguments.jobs}, --memory {arguments.memory}",
        "distinct_text_bytes": distinct,
        "runs": runs,
        "exponents": exponents(runs, distinct),
    }
    (arguments.output / "growth.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["exponents"], indent=2))
    draw(result, arguments.output / "growth.png")


def train(texts: list[str], directory: Path) -> None:
    from structinit_core.corpus import serialise, train_tokenizer

    for vocabulary in VOCABULARIES:
        path = directory / f"tokenizer-{vocabulary}.json"
        if not path.is_file():
            path.write_text(serialise(train_tokenizer(iter(texts), vocabulary)), encoding="utf-8")


def write_text(texts: list[str], size: float, path: Path) -> int:
    """Paragraphs of about ``size`` tokens, blank lines between them; bytes."""
    draw, wanted, written = random.Random(1), int(size * BYTES_PER_TOKEN), 0
    with path.open("wb") as out:
        at = 0
        while written < wanted:
            text = texts[at] if at < len(texts) else draw.choice(texts)
            written += out.write(text.encode() + b"\n\n")
            at += 1
    return written


def measure(
    texts: list[str], size: float, vocabulary: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One count: what it took, and what was forecast."""
    scratch = arguments.output / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    text, counts = scratch / "text.txt", scratch / "counts"
    text_bytes = write_text(texts, size, text)
    tokenizer = arguments.output / f"tokenizer-{vocabulary}.json"
    command = [sys.executable, "-m", "initctl", "cooc", str(text), "--tokenizer", str(tokenizer)]
    command += ["-o", str(counts), "--memory", arguments.memory, "--jobs", str(arguments.jobs)]
    plan = json.loads(run([*command, "--plan"]))
    run([*command, "--quiet"])
    record = json.loads((counts / "run.json").read_text())
    facts = json.loads((counts / "counts.json").read_text())
    manifest = json.loads((counts / "manifest.json").read_text())
    disk = sum(entry["bytes"] for entry in manifest["files"].values())
    tables = [
        len(np.load(counts / f"offset{k}.data.npy", mmap_mode="r"))
        for k in range(1, facts["offsets"] + 1)
    ]
    trigrams = len(np.load(counts / "trigram.counts.npy", mmap_mode="r"))
    shutil.rmtree(scratch)
    return {
        "tokens": facts["tokens"],
        "vocabulary": vocabulary,
        "text_bytes": text_bytes,
        "seconds": record["seconds_total"],
        "peak_memory_bytes": record["peak_memory_bytes"],
        "disk_bytes": disk,
        "bigrams": tables[0],
        "pairs": sum(tables),
        "trigrams": trigrams,
        "stages": record["seconds"],
        "plan": plan,
    }


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def exponents(runs: list[dict[str, Any]], distinct: int) -> dict[str, dict[str, float]]:
    """Slopes of straight lines in logarithms, over tokens and over vocabularies."""

    def slope(chosen: list[dict[str, Any]], over: str, name: str) -> float:
        if len(chosen) < 2:
            return float("nan")
        x, y = (np.log([each[key] for each in chosen]) for key in (over, name))
        return round(float(np.polyfit(x, y, 1)[0]), 3)

    grown = [each for each in runs if each["vocabulary"] == BASE]
    fresh = [each for each in grown if each["text_bytes"] <= distinct]
    middle = max((each["tokens"] for each in runs if each["vocabulary"] != BASE), default=0)
    wide = [each for each in runs if 0.5 < each["tokens"] / max(middle, 1) < 2]
    return {
        "tokens": {
            name: slope(
                fresh if name in ("disk_bytes", "pairs", "trigrams") else grown, "tokens", name
            )
            for name in SERIES
        },
        "vocabulary": {name: slope(wide, "vocabulary", name) for name in SERIES},
    }


def draw(result: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7.5), constrained_layout=True)
    grown = [each for each in result["runs"] if each["vocabulary"] == BASE]
    fresh = max(
        each["tokens"] * min(1.0, result["distinct_text_bytes"] / each["text_bytes"])
        for each in grown
    )
    shown = (
        ("seconds", "seconds", 1.0, "seconds"),
        ("peak_memory_bytes", "peak memory, GB", 1e9, "memory_bytes"),
        ("disk_bytes", "disk, GB", 1e9, "disk_bytes"),
        ("pairs", "distinct pairs of five offsets, millions", 1e6, None),
    )
    x = [each["tokens"] / 1e6 for each in grown]
    for axis, (name, label, unit, forecast) in zip(axes.flat[:4], shown, strict=True):
        axis.loglog(x, [each[name] / unit for each in grown], "o-", label=f"V = {BASE:,}")
        if forecast:
            planned = [each["plan"][forecast] / unit for each in grown]
            axis.loglog(x, planned, "--", label="forecast of --plan")
        axis.axvspan(fresh / 1e6, x[-1], color="gray", alpha=0.12, label="the text repeats itself")
        axis.set(title=label, xlabel="million tokens")
    size = min(each["text_bytes"] for each in result["runs"] if each["vocabulary"] != BASE)
    wide = [each for each in result["runs"] if each["text_bytes"] == size]
    wide.sort(key=lambda each: each["vocabulary"])
    v = [each["vocabulary"] for each in wide]
    for axis, (name, label, unit, forecast) in zip(
        axes.flat[4:], (shown[0], shown[1]), strict=True
    ):
        axis.semilogx(v, [each[name] / unit for each in wide], "o-", label=f"{size / 1e6:.0f} MB")
        axis.semilogx(v, [each["plan"][forecast] / unit for each in wide], "--", label="forecast")
        axis.set(title=label, xlabel="vocabulary", ylim=(0, None))
    for axis in axes.flat:
        axis.grid(which="both", alpha=0.2)
        axis.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
