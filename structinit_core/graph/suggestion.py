"""Width, heads and layers that a graph suggests, and where the caller disagrees."""

from __future__ import annotations

import math
from dataclasses import dataclass

from structinit_core.errors import UsageError

WIDTHS = (64, 4096)
DEEPEST = 12
"""Layers that the authors of the published formula capped it at."""
HEAD_SIZE = 16
"""Columns that a head has at least."""


@dataclass(frozen=True)
class Suggestion:
    """Sizes to build: d, h and L, and a sentence on each; on what was asked for otherwise too."""

    width: int
    heads: int
    layers: int
    reasons: tuple[str, ...]


def suggest(
    *,
    effective_rank: float,
    values: int,
    relations: int,
    diameter: int,
    width: int | None = None,
    heads: int | None = None,
    layers: int | None = None,
) -> Suggestion:
    """Width by d*, a head for each relation, a layer for each hop; what is asked for wins.

    effective_rank: d* of so many singular ``values``. Width: d* rounded up, at least 64, at most
    4,096, and a multiple of twice the heads. Heads: one a relation as long as each has 16
    columns. Layers: the diameter, at least 2, at most 12. Source: ours, in place of the published
    L* (architecture.py).

    Raises:
        UsageError: a size asked for is not positive, or the heads do not divide the width.
    """
    for name, asked in (("width", width), ("heads", heads), ("layers", layers)):
        if asked is not None and asked < 1:
            raise UsageError(f"{name} {asked} is not positive", hint=f"ask for {name} of 1 or more")
    wanted = min(max(math.ceil(effective_rank), WIDTHS[0]), WIDTHS[1])
    basis = width or wanted
    own_heads = max(1, min(relations, basis // HEAD_SIZE))
    if width is not None:
        while width % (2 * own_heads) and own_heads > 1:
            own_heads -= 1
    number = heads or own_heads
    own_width = 2 * number * math.ceil(wanted / (2 * number))
    own_layers = min(max(diameter, 2), DEEPEST)
    size = width or own_width
    if size % number:
        raise UsageError(
            f"{number} heads do not divide a width of {size}",
            hint=f"ask for a width of {number * math.ceil(size / number)}, or for other heads",
        )
    sentences = (
        f"d = {own_width}, because {effective_rank:.1f} is the effective rank of its first "
        f"{values} singular values, and no less than {WIDTHS[0]}",
        f"h = {own_heads}, because it has {relations} relations and a head takes {HEAD_SIZE} "
        f"columns of {basis}",
        f"L = {own_layers}, because its longest shortest path has {diameter} hops, and no more "
        f"than {DEEPEST}",
    )
    pairs = (
        (size, own_width, "d"),
        (number, own_heads, "h"),
        (layers or own_layers, own_layers, "L"),
    )
    reasons = tuple(
        f"the graph suggests {sentence}"
        + ("" if used == own else f"; {letter} = {used} was asked for")
        for sentence, (used, own, letter) in zip(sentences, pairs, strict=True)
    )
    return Suggestion(size, number, layers or own_layers, reasons)
