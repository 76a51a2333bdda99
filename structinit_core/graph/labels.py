"""Labels: what to show for a particle, on one line."""

from __future__ import annotations

from itertools import islice

import numpy as np

from structinit_core.graph.keyed import KeyedFile, read_pairs
from structinit_core.graph.names import Names

MAX_LABEL = 80
"""Characters of a label; a longer one is cut and ends in …."""
_PARTICLES = ("id", "particle", "cid", "name", "entity", "node", "key", "page", "package")
_LABELS = ("label", "text", "title", "lemmas", "name", "summary", "description")
_BATCH = 1 << 14


def read_labels(file: KeyedFile, particles: Names) -> Names:
    """The label of each particle, "" where the file has none: P names.

    The first row of a particle that says something counts, and of its text the first line that
    is not blank, white space as one blank, cut to :data:`MAX_LABEL` characters. Cost: some 5 µs
    a row.

    Raises:
        InputError: an unreadable file, unknown columns. LimitError: a JSON file over 256 MiB.
    """
    text = bytearray()
    spans = np.zeros((len(particles), 2), np.int64)
    pairs = ((name, label) for _, name, label in read_pairs(file, _PARTICLES, _LABELS))
    while batch := list(islice(pairs, _BATCH)):
        rows = particles.rows(name for name, _ in batch)
        for row, (_, label) in zip(rows.tolist(), batch, strict=True):
            if row >= 0 and not spans[row, 1]:
                begin = len(text)
                text += one_line(label).encode()
                spans[row] = begin, len(text)
    return Names.of(text[low:high].decode() for low, high in spans.tolist())


def one_line(text: str) -> str:
    """The first line of a text that is not blank, fit to show."""
    line = next((line for line in text.splitlines() if not line.isspace() and line), "")
    words = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return words if len(words) <= MAX_LABEL else words[: MAX_LABEL - 1].rstrip() + "…"
