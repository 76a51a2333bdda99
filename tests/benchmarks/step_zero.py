"""How much of the way from KN-2 to KN-3 the default start goes, on four corpora.

    python tests/benchmarks/step_zero.py [--data DIR] [--config CONFIG] [--stages NAMES]

DIR holds ``wikitext-2``, ``gutenberg-a``, ``arxiv-abstracts-a`` and ``code-python-a``, of which the
last is made from the standard library of this interpreter. Each is counted with a byte-level BPE of
8192 trained on its training text, compiled from counts and text, and scored on its validation text.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from four_texts import code_corpus
from measure import initctl

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "fixtures" / "configs" / "gpt2-d256-l4.json"
TITLES, ABSTRACTS = ("--documents", "title"), ("--text-field", "abstract")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--stages", default="bigram,offsets,copy")
    arguments = parser.parse_args()
    data = arguments.data
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        code_corpus(data, work)
        wiki, books, papers = (
            data / name for name in ("wikitext-2", "gutenberg-a", "arxiv-abstracts-a")
        )
        corpora = {
            "wikitext-2": (wiki / "wiki.{}.tokens.gz", TITLES),
            "gutenberg-a": (books / "{}.txt.gz", TITLES),
            "arxiv-abstracts-a": (papers / "{}.jsonl.gz", ABSTRACTS),
            "code-python-a": (work / "{}.jsonl", ()),
        }
        for name, (pattern, options) in corpora.items():
            train, valid = (str(pattern).format(part) for part in ("train", "valid"))
            counts, output = work / f"{name}.counts", work / f"{name}.out"
            initctl("cooc", train, *options, "--train-tokenizer", 8192, "-o", counts, "-q")
            compiled = initctl(
                *("closed-form", "--config", arguments.config, "--counts", counts),
                *("--corpus", train, *options, "--stages", arguments.stages, "-o", output, "-q"),
            )
            judged = initctl(  # 3G leaves out the cosine with k0: minutes, and no loss
                *("diagnose", output, "--counts", counts, "--memory", "3G"),
                *("--text", valid, *options, "--json"),
            )
            report = json.loads(judged.output)
            losses = {check["name"]: check["value"] for check in report["checks"]}
            kn2, kn3, found = (losses[f"loss.{at}"] for at in ("kn2", "kn3", "model"))
            print(
                f"{name:18} model {found:.4f}  KN-2 {kn2:.4f}  KN-3 {kn3:.4f}  "
                f"closed {(kn2 - found) / (kn2 - kn3):.0%}  "
                f"{compiled.wall:.0f} s, {compiled.cpu:.0f} s CPU, {compiled.peak:.2f} GiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
