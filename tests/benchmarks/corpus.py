"""Real text for benchmarks: every paragraph of six collections, none twice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

FILES = (
    "wikitext-2/wiki.train.tokens.gz",
    "gutenberg-a/train.txt.gz",
    "arxiv-abstracts-a/train.jsonl.gz",
    "debian-packages/packages.tsv.gz",
    "wordnet-3.0/synsets.tsv.gz",
    "cyber-metagraph/pages.jsonl.gz",
)
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def paragraphs(data: Path) -> list[str]:
    """Articles, novels, abstracts, package descriptions, glosses and notes; 12 million words."""
    if missing := [name for name in FILES if not (data / name).is_file()]:
        raise SystemExit(f"not in {data}: {', '.join(missing)}")
    return list(dict.fromkeys(text for text in _texts(data) if text.strip()))


def _texts(data: Path) -> Iterator[str]:
    for name in FILES:
        for line in gzip.decompress((data / name).read_bytes()).decode().rstrip("\n").split("\n"):
            if name.endswith(".jsonl.gz"):
                yield " ".join(str(value) for value in json.loads(line).values())
            elif name.endswith(".tsv.gz"):
                yield " ".join(line.split("\t")[-2:])
            else:
                yield line
