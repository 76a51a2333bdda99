"""How the tokens of a graph are written: each by one text that no other token has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np

from structinit_core.corpus.tokenizer import DOCUMENT_TOKEN

INVERSE = "⁻¹"
"""Follows the name of a relation that is asked the other way round."""
PARTICLE = " (particle)"
"""Follows the id of a particle where a relation is called the same."""
LONGEST_LABEL = 256
"""Characters of a label; a longer one is cut and ends in an ellipsis."""
_RESERVED = "<|"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class TokenTexts:
    """The texts of S relations and P particles in the order of their tokens.

    Token 0 frames a sequence, 1 + 2r and 2 + 2r are relation r forward and inverse, then up to
    ``slots`` follow places without a relation, then the particles. ``labels``: P texts, "" where
    there is none, or ``None``; all sequences are gone through several times.

    A relation is written by its name, its inverse with :data:`INVERSE` behind; where the text is
    taken by a relation before, or is empty, as ``<|relation_3|>``. A particle is written by its
    label; where another particle's label or id, or a relation, is the same, as ``label (id)``;
    without a label by its id, or ``id (particle)`` where a relation is called so; and as
    ``<|particle_3|>`` where nothing of that is its own. Control characters of an id are written
    as escapes, those of a label as spaces; what holds ``<|`` is never taken for a text. Adding
    particles changes the text of others only where a label is no longer theirs alone. Iterating
    takes O(P) time, and 24 bytes a labelled particle.
    """

    relations: Iterable[str]
    particles: Iterable[str]
    labels: Iterable[str] | None
    slots: int

    def __iter__(self) -> Iterator[str]:
        yield DOCUMENT_TOKEN
        yield from self.of_relations
        contested, taken = self._contested, self._taken
        for row, (name, label) in enumerate(self._named()):
            if not label and name not in contested and name not in taken and _plain(name):
                yield name
            else:
                yield next(self._choices(name, label), f"<|particle_{row}|>")

    @cached_property
    def of_relations(self) -> tuple[str, ...]:
        """The texts of all slots."""
        texts: dict[str, None] = {}
        for row, name in enumerate(self.relations):
            reserved = f"<|relation_{row}|>"
            plain = name and _RESERVED not in name
            forward = escaped(name) if plain else reserved
            forward = reserved if forward in texts else forward
            texts[forward] = None
            inverse = forward + INVERSE
            texts[reserved + INVERSE if inverse in texts else inverse] = None
        for slot in range(len(texts), self.slots):
            texts[f"<|relation_{slot // 2}|>" + INVERSE * (slot % 2)] = None
        return tuple(texts)

    def _choices(self, name: str, label: str) -> Iterator[str]:
        """Texts that are a particle's own, the best first."""
        own = escaped(name)
        whole = _RESERVED not in own
        for text in (label, f"{label} ({own})" if whole else ""):
            if label and text and text not in self._contested:
                yield text
        if not (own and whole):
            return
        if own not in self._taken:
            if own == name or own not in self._contested:
                yield own
        elif own + PARTICLE not in self._contested:
            yield own + PARTICLE

    def _named(self) -> Iterator[tuple[str, str]]:
        """The id and the label, fit to be a text or "", of each particle."""
        if self.labels is None:
            return zip(self.particles, repeat(""), strict=False)
        return zip(self.particles, map(label_text, self.labels), strict=True)

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(self.of_relations)

    @cached_property
    def _contested(self) -> frozenset[str]:
        """Texts that more than one token could have; of all others only hashes are held."""
        hashes = np.sort(np.fromiter(map(hash, self._claims()), np.int64))
        twice = frozenset(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        counts = Counter(text for text in self._claims() if hash(text) in twice)
        return frozenset(text for text, count in counts.items() if count > 1)

    def _claims(self) -> Iterator[str]:
        """Every text that a token could have, once for each that could have it."""
        yield from self.of_relations
        for name, label in self._named():
            own = escaped(name)
            yield own
            if own in self._taken:
                yield own + PARTICLE
            if label:
                yield f"{label} ({own})"
            if label and label != own:
                yield label


def _plain(name: str) -> bool:
    """Whether a name is a text as it is."""
    return bool(name) and name.isprintable() and _RESERVED not in name


def escaped(name: str) -> str:
    """A name with its control characters written as escapes, so that it is one line."""
    if name.isprintable():
        return name
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def label_text(label: str) -> str:
    """A label on one line, at most 256 characters; "" where it may not be a token's text."""
    text = label if label.isprintable() else _CONTROL.sub(" ", label)
    text = " ".join(text.split())
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1] + "…"
    return "" if _RESERVED in text else text
