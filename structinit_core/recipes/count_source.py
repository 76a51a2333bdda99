"""The text that is counted, and how: what decides the counts' bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structinit_core.artifact import Input, Recipe, file_input
from structinit_core.cooc import COUNTS_KIND, COUNTS_VERSION
from structinit_core.corpus import Border, read_documents, shard_of
from structinit_core.errors import UsageError


@dataclass(frozen=True)
class CountSource:
    """The text to count and how: everything that decides the counts' bytes.

    Exactly one of ``tokenizer`` (a ``tokenizer.json``) and ``train_vocabulary`` is given.
    Pairs and trigrams that occur less than ``min_count`` times are left out. With
    ``shard``, ``(i, n)`` with i from 0, only the documents of that share are counted; all n
    shares are together the whole text, see :func:`structinit_core.merge_counts`.
    """

    texts: Sequence[Path]
    tokenizer: Path | None = None
    train_vocabulary: int | None = None
    offsets: int = 5
    holdout: float = 0.02
    border: Border = Border.BLANK
    text_field: str | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        if not self.texts:
            raise UsageError("no text was given")
        if (self.tokenizer is None) == (self.train_vocabulary is None):
            raise UsageError("give either a tokenizer or a vocabulary size to train one")
        if not 0 <= self.holdout < 1:
            raise UsageError(f"the held-out share must lie in [0, 1), not {self.holdout}")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"the seed must lie between 0 and 2**64 - 1, not {self.seed}")
        if self.min_count < 1:
            raise UsageError(f"the least count must be 1 or more, not {self.min_count}")
        if self.shard is not None and self.min_count > 1:
            raise UsageError(
                "a share is counted in full, for what is rare in it may be frequent in the text",
                hint="give --min-count to the merge",
            )
        if self.shard is not None:
            _check_shard(*self.shard, trained=self.tokenizer is None)

    def inputs(self) -> tuple[Input, ...]:
        """Name and content hash of every file read."""
        return tuple(file_input(path) for path in self.paths())

    def paths(self) -> list[Path]:
        """Every file read."""
        return [*self.texts, *([self.tokenizer] if self.tokenizer else [])]

    def params(self) -> dict[str, Any]:
        """The parameters that decide the bytes, as JSON values."""
        params: dict[str, Any] = {
            "train_vocabulary": self.train_vocabulary,
            "offsets": self.offsets,
            "holdout": self.holdout,
            "border": self.border.value,
            "text_field": self.text_field,
            "seed": self.seed,
        }
        if self.min_count > 1:
            params["min_count"] = self.min_count
        return params if self.shard is None else params | {"shard": "{}/{}".format(*self.shard)}

    def recipe(self, inputs: tuple[Input, ...] | None = None) -> Recipe:
        """What decides the counts' bytes; every file is hashed, unless ``inputs`` are known."""
        return Recipe(
            kind=COUNTS_KIND,
            version=COUNTS_VERSION,
            params=self.params(),
            inputs=self.inputs() if inputs is None else inputs,
        )

    def documents(self) -> Iterator[str]:
        """The documents of all texts in order; of a shard, its own."""
        return self._documents() if self.shard is None else self._share(own=True)

    def other_documents(self) -> Iterator[str]:
        """The documents of all other shards in order."""
        return iter(()) if self.shard is None else self._share(own=False)

    def is_blank(self) -> bool:
        """Whether the texts hold no document at all, in any shard."""
        return next(self._documents(), None) is None

    def _documents(self) -> Iterator[str]:
        return read_documents(self.texts, border=self.border, text_field=self.text_field)

    def _share(self, own: bool) -> Iterator[str]:
        index, shards = self.shard or (0, 1)
        return (text for text in self._documents() if (shard_of(text, shards) == index) == own)


def _check_shard(index: int, shards: int, *, trained: bool) -> None:
    if not 0 <= index < shards:
        raise UsageError(
            f"shard {index}/{shards} does not exist",
            hint="shards are I/N with I from 0 to N - 1",
        )
    if trained:
        raise UsageError(
            "shards must share one tokenizer, and each would train its own",
            hint="train one first, by counting a sample, and give it with --tokenizer",
        )
