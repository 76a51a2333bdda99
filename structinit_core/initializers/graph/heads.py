"""Attention of a compiled graph: copying the token before, and a map for each relation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.closed_form.parts import Head, as_float, linear_maps
from structinit_core.initializers.closed_form.positions import (
    beam,
    frequencies,
    turned,
)
from structinit_core.initializers.graph.layout import COPIED, GraphStream
from structinit_core.initializers.graph.signs import APART
from structinit_core.initializers.graph.tokens import GraphTokens
from structinit_core.model import Wiring

OTHERS = 1e-4
"""Attention to all other tokens over that to the token before."""
COPYING_HEADS = 2
"""Heads of the first layer that copy the prediction code and the identity code."""
_GATE = 120.0
"""Score by which a head whose relation is not asked for prefers the frame."""

Floats = NDArray[np.float64]


class Sight:
    """Queries and keys of heads that read the token before, in every layer.

    Rotary positions are turned from constants, learned ones compared; the last entry in use
    is left to a gate. Source: closed-form's beams, ours.
    """

    def __init__(self, stream: GraphStream, blueprint: Blueprint, wiring: Wiring) -> None:
        self.stream, self.blueprint, self.wiring = stream, blueprint, wiring
        self.learned = blueprint.learned_positions
        size = blueprint.head_width
        waves = wiring.frequencies.double().numpy()[:-1]
        if self.learned:
            waves = frequencies(stream.size.positions // 2, blueprint.context, stream.seed)
        self.beam = beam(waves, blueprint.context, 1, (size - 1) // 2, OTHERS)
        self.gate = size - 1 if self.learned else len(wiring.frequencies) - 1

    def norm(self, layer: int) -> float:
        """What the norm before the attention of ``layer`` multiplies the stream by."""
        return self.stream.first if layer == 0 else self.stream.later

    def look(self, layer: int) -> tuple[Floats, Floats]:
        """Query and key, (h, d) each."""
        at, norm, blueprint = self.stream.at, self.norm(layer), self.blueprint
        scale = self.wiring.scales[layer] * self.wiring.rotary_scale**2
        query, key = np.zeros((2, blueprint.head_width, blueprint.width))
        pairs = len(self.beam.frequencies)
        if self.learned:
            (used,) = np.nonzero(self.beam.amplitudes)
            length = norm * self.stream.position_length
            factor = np.sqrt(self.beam.amplitudes * pairs / scale) / length
            rows = np.concatenate((used, pairs + used))
            for into, lag in ((query, 1), (key, 0)):
                codes = turned(at.positions, self.beam.frequencies, lag) * np.tile(factor, 2)
                into[: len(rows)] = codes.T[rows]
            return query, key
        constant = at.constant[:, 0] / (norm * self.stream.level)
        rows = np.concatenate((np.arange(pairs), len(self.wiring.frequencies) + np.arange(pairs)))
        for into, lag in ((query, 1), (key, 0)):
            entries = self.beam.turned(lag).ravel() / np.sqrt(scale)
            into[rows] = np.outer(entries, constant)
        return query, key

    def gated(self, layer: int, match: Floats) -> tuple[Floats, Floats]:
        """The same where ``match`` (d,) is 1; where it is 0 the frame is looked at."""
        (query, key), stream, norm = self.look(layer), self.stream, self.norm(layer)
        root = np.sqrt(_GATE / (self.wiring.scales[layer] * self.wiring.rotary_scale**2))
        constant = stream.at.constant[:, 0] / (norm * stream.level)
        query[self.gate] = -root * centred(match, constant)
        key[self.gate] = root * stream.at.kinds[:, 0] / (norm * stream.level)
        return query, key


def copy_heads(sight: Sight) -> tuple[Head, ...]:
    """The first heads of the first layer: the codes of the token before into their blocks."""
    stream, blueprint = sight.stream, sight.blueprint
    at, (query, key) = stream.at, sight.look(0)
    # What is copied has the length √(COPIED·d) whatever the token.
    gain = np.sqrt(COPIED * blueprint.width) / (stream.first * stream.length)
    heads = []
    for index, (read, write) in enumerate(((at.predict, at.before), (at.own, at.before_own))):
        maps = linear_maps(blueprint, gain * read, write)
        heads.append(Head(0, index, as_float(query), as_float(key), **maps, lag=1))
    return tuple(heads)


def relation_heads(
    directed: Sequence[int], maps: Sequence[Floats], tokens: GraphTokens, sight: Sight
) -> tuple[Head, ...]:
    """Heads that at the token of a relation read the subject and write what it maps it to.

    maps: float64 (r, r) for each, x_s·map is added to the prediction code. They stand in
    :func:`relation_places`, the first relations first.
    """
    stream, heads = sight.stream, []
    places = relation_places(sight.blueprint)
    for relation, matrix, (layer, index) in zip(directed, maps, places, strict=False):
        norm = sight.norm(layer)
        query, key = sight.gated(layer, relation_match(relation, tokens, stream, norm))
        codes = stream.at.predict[:, : len(matrix)]
        read, write = codes / (norm * stream.scale), stream.scale * codes @ matrix.T
        parts = linear_maps(sight.blueprint, read, write)
        asks = tokens.relation_token(relation)
        heads.append(Head(layer, index, as_float(query), as_float(key), **parts, asks=asks))
    return tuple(heads)


def relation_places(blueprint: Blueprint) -> list[tuple[int, int]]:
    """(layer, head) of every head that may hold a relation, layers in turn."""
    return [
        (layer, head)
        for head in range(blueprint.heads)
        for layer in range(blueprint.layers)
        if layer or head >= COPYING_HEADS
    ]


def centred(match: Floats, constant: Floats) -> Floats:
    """1 where ``match`` is 1, −1 or less where it is that of two relations' codes or less."""
    middle = (1 + APART) / 2
    about: Floats = (match - middle * constant) / (1 - middle)
    return about


def relation_match(relation: int, tokens: GraphTokens, stream: GraphStream, norm: float) -> Floats:
    """A functional (d,) of normalised rows: 1 at a relation's token, at most 0.35 elsewhere."""
    signs = stream.identity[tokens.relation_token(relation)] / np.sqrt(stream.size.own)
    own = stream.at.own @ signs / (norm * stream.length)
    marks = stream.at.kinds[:, 1] - stream.at.constant[:, 0]
    match: Floats = own + marks / (norm * stream.level)
    return match
