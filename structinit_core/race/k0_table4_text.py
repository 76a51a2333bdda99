"""What table 4 is repeated on: its protocol, the drawn text, and k₀ of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from structinit_core.cooc import Distance, window_counts
from structinit_core.corpus import TokenStream
from structinit_core.initializers.kernel import (
    EPSILON,
    derive_k0,
    derive_k0_fft,
    log_cooccurrence,
    spectrum_of,
)
from structinit_core.linalg import generator

_COUNTING_BYTES = 256 << 20


class K0Table4Protocol(BaseModel):
    """What the source states of table 4, and ours where it is silent or too long.

    Silent: the text, its length, the batch, the deviations, the numbering. Too long: its 200
    epochs; ``steps`` are 20 epochs of our text. AdamW at a constant ``rate`` with
    ``weight_decay`` on everything. ``deviations``: of the embeddings' start, an arm each; 1 is
    torch's own for an embedding, 0.02 GPT-2's. The text: from one token to the next the topic
    changes with probability 0.05, each of ten topics weights Zipf's law by exp(N(0, 1)) for every
    token (seed-origins note 8). ``numberings``: of the tokens, the text's own and others that are
    drawn; embeddings and counts are renumbered alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    vocabulary: int = Field(100, ge=8)
    width: int = Field(64, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    context: int = Field(64, ge=2)
    tokens: int = Field(60_000, ge=1000)
    topics: int = Field(10, ge=1)
    window: int = Field(5, ge=1)
    epsilon: float = Field(EPSILON, gt=0, lt=1)
    rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    batch_tokens: int = Field(512, ge=1)
    steps: int = Field(2400, ge=1)
    seeds: int = Field(5, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)
    deviations: tuple[float, ...] = (1.0, 0.02)
    numberings: int = Field(20, ge=1)


@dataclass(frozen=True)
class Table4Text:
    """The drawn text, and for each numbering of its tokens the order, D, and k₀ in the FFT form.

    matrix_k0: k₀ in the matrix form for the text's own numbering.
    """

    stream: TokenStream
    numberings: tuple[tuple[Tensor, Tensor, Tensor], ...]
    matrix_k0: Tensor
    negative: int
    unigram_loss: float


def drawn_text(protocol: K0Table4Protocol) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Token ids of the protocol's text, the most frequent token of Zipf's law first."""
    draw = generator(protocol.seed, "k0-table4", "text")
    zipf = 1 / np.arange(1, protocol.vocabulary + 1)
    weights = zipf * np.exp(draw.standard_normal((protocol.topics, protocol.vocabulary)))
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    segments = np.cumsum(draw.random(protocol.tokens) < 0.05)
    topics = draw.integers(protocol.topics, size=segments[-1] + 1)[segments]
    heights = draw.random(protocol.tokens)
    ids = np.empty(protocol.tokens, np.uint16)
    for topic in range(protocol.topics):
        here = topics == topic
        ids[here] = np.searchsorted(edges[topic, :-1], heights[here], side="right")
    return ids


def table4_text(protocol: K0Table4Protocol) -> Table4Text:
    """The text drawn, and k₀ of it derived under every numbering."""
    ids = drawn_text(protocol)
    spans = np.array([[0, len(ids)]], np.int64)
    stream = TokenStream(ids, spans[0])
    counts = window_counts(
        stream,
        spans,
        protocol.vocabulary,
        window=protocol.window,
        distance=Distance.FLAT,
        memory_bytes=_COUNTING_BYTES,
    )
    log_counts = log_cooccurrence(counts)
    spectrum = spectrum_of(log_counts)
    numberings = []
    for number in range(protocol.numberings):
        draw = generator(protocol.seed, "k0-table4", "numbering", str(number))
        order = draw.permutation(protocol.vocabulary) if number else np.arange(protocol.vocabulary)
        places = torch.from_numpy(order)
        renumbered = log_counts[places][:, places]
        numberings.append((places, renumbered, derive_k0_fft(renumbered, protocol.epsilon)))
    shares = np.bincount(ids) / len(ids)
    shares = shares[shares > 0]
    return Table4Text(
        stream=stream,
        numberings=tuple(numberings),
        matrix_k0=derive_k0(log_counts, protocol.epsilon, spectrum),
        negative=int((spectrum.values < 0).sum()),
        unigram_loss=float(-(shares * np.log(shares)).sum()),
    )
