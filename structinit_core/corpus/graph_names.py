"""Names of a compiled graph's tokens, read from its tokenizers and found again."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from structinit_core.corpus.graph_tokenizer import GRAPH, IDS
from structinit_core.corpus.token_texts import PARTICLE
from structinit_core.corpus.tokenizer import load_tokenizer
from structinit_core.errors import IncompatibleError

_LARGEST = 1 << 30
"""Bytes of a graph's tokenizer: some 100 for each of ten million particles."""
_MOST_FIELDS = 1 << 20
_SCANNED, _COMPARED, _LONGEST = 1 << 20, 1 << 12, 64
"""Names looked through for near ones, those compared letter by letter, and their letters."""


@dataclass(frozen=True)
class GraphNames:
    """S relations and the particles behind ``slots`` tokens, by label and by id."""

    relations: int
    slots: int
    by_label: Tokenizer
    by_id: Tokenizer

    @property
    def first_particle(self) -> int:
        """The token of particle 0."""
        return 1 + self.slots

    @property
    def vocabulary(self) -> int:
        """V."""
        return int(self.by_id.get_vocab_size())

    @property
    def relation_tokens(self) -> range:
        """Of all relations, forward and inverse in turn."""
        return range(1, 1 + 2 * self.relations)

    def particle(self, name: str) -> int | None:
        """The token of a particle by its id or by a label that is its own."""
        for text in (name, name + PARTICLE):
            for tokenizer in (self.by_id, self.by_label):
                token = tokenizer.token_to_id(text)
                if token is not None and token >= self.first_particle:
                    return int(token)
        return None

    def relation(self, name: str, inverse: bool = False) -> int | None:
        """The token of a relation, asked as its name says or the other way round."""
        token = self.by_id.token_to_id(name)
        if token is None or token not in self.relation_tokens:
            return None
        return (token - 1 ^ 1) + 1 if inverse else int(token)

    def text(self, token: int) -> str:
        """How a token is written: a particle by its label, or else its id."""
        return str(self.by_label.id_to_token(token))

    def id(self, token: int) -> str:
        """How a token is written where labels are not used."""
        text = str(self.by_id.id_to_token(token))
        bare = text.removesuffix(PARTICLE)
        return bare if token >= self.first_particle and self.relation(bare) else text

    def label(self, token: int) -> str | None:
        """A particle's label without the id behind it; ``None`` where it has none."""
        own, text = self.id(token), self.text(token)
        if text in (own, own + PARTICLE):
            return None
        return text.removesuffix(f" ({own})")

    def particles_near(self, name: str) -> list[str]:
        """Up to three texts of particles that a mistyped or shared name may mean."""
        return nearest(name, map(self.text, range(self.first_particle, self.vocabulary)))

    def relations_near(self, name: str) -> list[str]:
        """Up to three relations that a mistyped name may mean."""
        known = [self.text(token) for token in self.relation_tokens]
        return nearest(name, iter(known)) or known[:6:2]


def read_graph_names(directory: Path) -> GraphNames:
    """The names in a checkpoint of a graph. Memory: its tokenizers.

    Raises:
        IncompatibleError: ``directory`` holds no graph's checkpoint.
        InputError: a tokenizer cannot be read.
    """
    relations, slots = _graph_fields(directory / "tokenizer_config.json")
    by_label = by_id = load_tokenizer(directory / "tokenizer.json", _LARGEST)
    if (directory / IDS).is_dir():
        by_id = load_tokenizer(directory / IDS / "tokenizer.json", _LARGEST)
    sizes = {one.get_vocab_size() for one in (by_label, by_id)}
    if not 0 < 2 * relations <= slots or len(sizes) > 1 or sizes.pop() < slots + 2:
        raise IncompatibleError("its tokenizers do not agree with its graph", where=str(directory))
    return GraphNames(relations, slots, by_label, by_id)


def _graph_fields(path: Path) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            graph = json.loads(file.read(_MOST_FIELDS))[GRAPH]
        return int(graph["relations"]), int(graph["slots"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, OverflowError):
        raise IncompatibleError(
            "is no checkpoint of a graph",
            where=str(path.parent),
            hint="name a directory that graph-compile published",
        ) from None


def nearest(asked: str, names: Iterator[str], count: int = 3) -> list[str]:
    """Up to ``count`` of the first million names that hold the asked text, or are written alike."""
    wanted = asked.casefold()[:_LONGEST]
    holding: list[str] = []
    alike: list[str] = []
    for name in islice(names, _SCANNED):
        folded = name.casefold()
        if wanted in folded:
            if len(holding) < _COMPARED:
                holding.append(name)
        elif (
            len(alike) < _COMPARED
            and abs(len(folded) - len(wanted)) <= 2
            and (folded[:1] == wanted[:1] or folded[-1:] == wanted[-1:])
        ):
            alike.append(name)
    found = sorted(holding, key=lambda name: (len(name), name))
    found += difflib.get_close_matches(asked[:_LONGEST], alike, count)
    return found[:count]
