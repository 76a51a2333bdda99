"""The four corpora in one: train.jsonl and valid.jsonl for a race.

    python tests/benchmarks/four_texts.py --data DIR -o OUT

DIR as for ``step_zero.py``. Documents are articles, books, abstracts and source files, one JSON
object a line, in the order of their SHA-256, so that the kinds are mixed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from structinit_core.corpus import Border, read_documents

PARTS = ("train", "valid")


def documents(data: Path, code: Path, part: str) -> Iterator[str]:
    """Those of one part of all corpora; ``code``: where the source files lie as JSONL."""
    for name in (f"wikitext-2/wiki.{part}.tokens.gz", f"gutenberg-a/{part}.txt.gz"):
        for text in read_documents([data / name], border=Border.TITLE):
            yield text.rstrip("\n") + "\n"
    papers = data / "arxiv-abstracts-a" / f"{part}.jsonl.gz"
    yield from read_documents([papers], text_field="abstract")
    yield from read_documents([code / f"{part}.jsonl"])


def code_corpus(data: Path, output: Path) -> None:
    """Make the corpus of source files from this interpreter's standard library."""
    recipe = data / "code-python-a" / "make_code_corpus.py"
    subprocess.run([sys.executable, recipe, output], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as code:
        code_corpus(arguments.data, Path(code))
        for part in PARTS:
            found = list(documents(arguments.data, Path(code), part))
            found.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
            lines = (json.dumps({"text": text}, ensure_ascii=False) for text in found)
            (arguments.output / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
            print(f"{part}: {len(found)} documents, {sum(map(len, found)):,} characters")


if __name__ == "__main__":
    main()
