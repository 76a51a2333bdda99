"""Room in the stream for what a later stage writes: a buffer taken from the identity codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from structinit_core.initializers.closed_form.layout import Coordinates
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.parts import Head, as_float
from structinit_core.initializers.closed_form.rows import filler

_RIDGE = 1e-8

Floats = NDArray[np.float64]


def with_buffer(network: Network, size: int, mass: Floats) -> Network:
    """The same predictions from a stream in which ``size`` dimensions are empty.

    They, and a filler of at least as many, come out of the identity dimensions: of the codes f
    that heads read the directions are kept whose part of the logits is largest, and the heads
    read the others as predicted from what is kept. Rows keep their length, and nothing else
    moves; a filler alone gives way at no cost. ``mass``: float64 (V,), the frequency of each
    token. For a head of its own. Cost: V·d² multiply-adds. Deterministic. Source: ours
    (reduced-rank regression, Izenman 1975).
    """
    stream = network.stream
    at, embed, tokens = stream.coordinates, stream.embed.double().cpu().numpy(), len(mass)
    source = embed[:tokens]
    codes, known = source @ at.identity, source @ at.prediction
    held = at.identity.shape[1]
    free = held + at.filler.shape[1]
    kept = min(held, max(0, free - 2 * size))
    head = stream.unembed.double().cpu().numpy()[:tokens]
    axes = _axes(codes - known @ regressed(known, codes, mass), head, at, stream.heads, mass)
    identity, spare = at.identity @ axes[:, :kept], at.identity @ axes[:, kept:]
    blank = np.concatenate((at.filler, spare), axis=1)
    into, buffer = np.split(blank, [free - kept - size], axis=1)
    length = float(np.sqrt((embed**2).sum(axis=1).mean()))
    carried = embed - (embed @ blank) @ blank.T
    carried += filler(carried, length, into, stream.seed, "identity beside a buffer")
    read = np.concatenate((known, source @ identity), axis=1)
    rule = regressed(read, source @ spare, mass)
    basis = np.concatenate((at.prediction, identity), axis=1) @ rule
    heads = tuple(_redirected(head, spare, basis) for head in stream.heads)
    moved = replace(
        stream,
        embed=as_float(carried),
        heads=heads,
        coordinates=replace(at, identity=identity, filler=into, buffer=buffer),
    )
    return network.with_stream(moved)


def _axes(
    residual: Floats, head: Floats, at: Coordinates, heads: tuple[Head, ...], mass: Floats
) -> Floats:
    """Orthonormal axes of the identity codes, those that matter most to the logits first: (c, c).

    ``residual``: what of the codes the prediction codes do not tell, (V, c).
    """
    centred = (head - mass @ head) * np.sqrt(mass)[:, None]
    size = residual.shape[1]
    matters = np.zeros((size, size))
    for each in heads:
        reads = each.value.double().cpu().numpy() @ at.identity
        written = at.prediction.T @ each.output.double().cpu().numpy()
        logits = centred @ at.output @ written @ reads
        matters += logits.T @ logits
    values, vectors = np.linalg.eigh(matters)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    spread = residual.T @ (mass[:, None] * residual)
    _, directions = np.linalg.eigh(root @ spread @ root)
    axes: Floats = np.linalg.qr(root @ directions[:, ::-1], mode="complete")[0]
    return axes


def regressed(known: Floats, wanted: Floats, mass: Floats) -> Floats:
    """The linear map from ``known`` (V, a) that is nearest ``wanted`` (V, b): (a, b)."""
    weighted = mass[:, None] * known
    square: Floats = known.T @ weighted
    ridge = _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    rule: Floats = np.linalg.solve(square + ridge, weighted.T @ wanted)
    return rule


def _redirected(head: Head, spare: Floats, basis: Floats) -> Head:
    """The head with what it read along ``spare`` (d, n) read along ``basis`` instead."""
    value = head.value.double().cpu().numpy()
    return replace(head, value=as_float(value + (value @ spare) @ (basis - spare).T))
