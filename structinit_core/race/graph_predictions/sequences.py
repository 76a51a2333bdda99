"""Texts as token sequences over a graph's particles and extra words, the same for every arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import make_blueprint
from structinit_core.corpus import TokenStream, cut_windows, hold_out, spread
from structinit_core.errors import InputError
from structinit_core.initializers.graph import FRAME_ID, GraphTokens
from structinit_core.race.graph_predictions.domain import Domain
from structinit_core.race.graph_predictions.labels import Piece, words_of
from structinit_core.race.graph_predictions.protocol import GraphPredictionsProtocol
from structinit_core.race.graph_predictions.result import TextFacts


@dataclass(frozen=True)
class RaceText:
    """Tokens to train on, and held-out windows of others to score on.

    counted: how often each token stands in the training text, int64 (V,).
    """

    facts: TextFacts
    train: TokenStream
    valid: TokenStream
    windows: NDArray[np.int64]
    counted: NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The graph's tokens, then the extra words, then one token for all other words."""

    tokens: GraphTokens
    extra: dict[str, int]

    @property
    def size(self) -> int:
        """V."""
        return self.tokens.vocabulary + len(self.extra) + 1

    def ids(self, pieces: Iterable[Piece]) -> list[int]:
        """Tokens of particles and words."""
        first = self.tokens.first_particle
        return [
            first + piece if isinstance(piece, int) else self.extra.get(piece, self.size - 1)
            for piece in pieces
        ]


@dataclass(frozen=True)
class _Matched:
    name: str
    documents: list[list[Piece]]
    words: int

    def unmatched(self) -> Counter[str]:
        return Counter(
            piece for pieces in self.documents for piece in pieces if isinstance(piece, str)
        )


def race_texts(
    domain: Domain, general: Iterable[str], protocol: GraphPredictionsProtocol
) -> tuple[Vocabulary, list[RaceText]]:
    """The vocabulary, the domain's own text and, where ``general`` has any, that text.

    A sequence is the frame, the particle that a text is about (a general one has none), then
    the text by longest label match. The general text is as long as the domain's. Extra words
    are those with the largest share of either text's unmatched words, added.

    Raises:
        InputError: a text too short to train and to score on.
    """
    about = [(words, particle) for particle, words in domain.documents]
    texts = [_matched(domain.name, domain, about, protocol.tokens)]
    length = sum(len(pieces) + 1 for pieces in texts[0].documents)
    others = _matched("general", domain, ((words_of(text), None) for text in general), length)
    if others.documents:
        texts.append(others)
    share: Counter[str] = Counter()
    for text in texts:
        found = text.unmatched()
        for word, count in found.items():
            share[word] += count / found.total()  # type: ignore[assignment]
    tokens = GraphTokens(len(domain.graph.relations), len(domain.graph.particles))
    listed = sorted(share, key=lambda word: (-share[word], word))[: protocol.extra_words]
    extra = {word: tokens.vocabulary + place for place, word in enumerate(listed)}
    vocabulary = Vocabulary(tokens, extra)
    return vocabulary, [_streams(text, vocabulary, protocol) for text in texts]


def _matched(
    name: str,
    domain: Domain,
    documents: Iterable[tuple[Sequence[str], int | None]],
    tokens: int,
) -> _Matched:
    found, words, length = [], 0, 0
    for document, particle in documents:
        if length >= tokens:
            break
        pieces = domain.labels.match(document)
        if not pieces:
            continue
        found.append(pieces if particle is None else [particle, *pieces])
        words += len(document)
        length += len(found[-1]) + 1
    return _Matched(name, found, words)


def _streams(
    text: _Matched, vocabulary: Vocabulary, protocol: GraphPredictionsProtocol
) -> RaceText:
    rows = [[FRAME_ID, *vocabulary.ids(pieces)] for pieces in text.documents]
    stream = _joined([np.array(row, np.uint32) for row in rows])
    split = hold_out(stream, protocol.held_out, protocol.seed)
    train, valid = (
        _joined([stream.ids[low:high] for low, high in spans])
        for spans in (split.counted, split.held_out)
    )
    context = make_blueprint(protocol.config(vocabulary.tokens, vocabulary.size)).context
    spans = np.stack((valid.offsets[:-1], valid.offsets[1:]), axis=1)
    windows = spread(cut_windows(spans, context), protocol.eval_tokens)
    if len(windows) == 0 or len(train.ids) <= context:
        raise InputError(f"the text of {text.name} is too short to train and to score on")
    unmatched = text.unmatched()
    known = sum(count for word, count in unmatched.items() if word in vocabulary.extra)
    facts = TextFacts(
        name=text.name,
        documents=len(rows),
        words=text.words,
        matched=1 - unmatched.total() / text.words,
        extra=known / text.words,
        train_tokens=len(train.ids),
        scored_tokens=int((windows[:, 1] - windows[:, 0] - 1).sum()),
        vocabulary=vocabulary.size,
    )
    counted = np.bincount(train.ids, minlength=vocabulary.size)
    return RaceText(facts, train, valid, windows, counted)


def _joined(rows: Sequence[NDArray[np.uint32]]) -> TokenStream:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return TokenStream(np.concatenate(rows) if rows else np.empty(0, np.uint32), offsets)
