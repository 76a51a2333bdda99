"""Phases 0 and 4: what the embedding, the positions and the head hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.artifact import publish_text
from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.cooc import Counts, KneserNey
from structinit_core.initializers.closed_form.codes import factorise
from structinit_core.initializers.closed_form.layout import divide
from structinit_core.initializers.closed_form.parts import Weights, write_units
from structinit_core.initializers.closed_form.tied import place_codes
from structinit_core.initializers.dpi.factors import lexical_factors
from structinit_core.initializers.dpi.settings import DpiSettings
from structinit_core.initializers.stream import Compiled
from structinit_core.linalg import generator
from structinit_core.model import read_wiring

_DEVIATION = 0.02
_EMPTY = 1e-6
"""Length of a row, relative to the rms length, below which it holds nothing but rounding."""
_BASE = 10_000.0
_PARTS = ("embed", "position", "head", "final_bias")
_FACTS = "facts.json"


@dataclass(frozen=True)
class Lexical:
    """The tensors around the layers: float32, output × input.

    embed (V, d); position (context, d), ``None`` where positions are rotary; head (V, d),
    ``None`` where it is tied; final_bias (d,), ``None`` for zeros; lift: what a
    feed-forward must hold for a tied head to read the codes. facts: by name.
    """

    embed: Tensor
    position: Tensor | None
    head: Tensor | None
    final_bias: Tensor | None = None
    lift: Compiled = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)


def make_lexical(
    settings: DpiSettings, blueprint: Blueprint, counts: Counts, seed: int, device: torch.device
) -> Lexical:
    """Embedding, positions and head from the counts.

    Singular vectors stand in the embedding with standard deviation 0.02 over the whole matrix
    (``block``: as they are), in the head likewise for ``zero_wait``, which is N(0, 0.02²)
    otherwise: the source leaves it open. Positions are its sinusoids of amplitude 1. A row
    without a count, whose vector is 0 and which a norm would blow up, is N(0, 0.02²). The
    codes of ``log-ratio`` are placed as closed-form places them. Deterministic for the seed.

    Raises:
        IncompatibleError: no room for the codes. NumericalError: NaN in the factorisation.
    """
    if settings.lexical == "log-ratio":
        return _codes(blueprint, counts, seed, device)
    factors = lexical_factors(settings, counts, blueprint.width, seed, device)
    deviation = None if settings.lexical == "block" else _DEVIATION
    embed, filled = _table(factors.left, factors.tokens, blueprint, deviation, seed, "embedding")
    facts = factors.facts | {"filled_rows": filled}
    head = None
    if not blueprint.tied:
        if settings.zero_wait:
            right = factors.right
            head, _ = _table(right, factors.tokens, blueprint, _DEVIATION, seed, "head")
        else:
            head = torch.from_numpy(_noise((blueprint.vocabulary, blueprint.width), seed, "head"))
    position = sinusoids(blueprint) if blueprint.learned_positions else None
    return Lexical(embed, position, head, facts=facts)


def sinusoids(blueprint: Blueprint) -> Tensor:
    """Sines and cosines in turn, periods from 2π to 2π·10⁴: float32 (context, d).

    Source: Vaswani et al. 2017, 3.5.
    """
    pairs = -(-blueprint.width // 2)
    frequencies = _BASE ** (-np.arange(pairs) * 2 / blueprint.width)
    angles = np.outer(np.arange(blueprint.context), frequencies)
    table = np.stack((np.sin(angles), np.cos(angles)), axis=2).reshape(blueprint.context, -1)
    return torch.from_numpy(table[:, : blueprint.width].astype(np.float32))


def _codes(blueprint: Blueprint, counts: Counts, seed: int, device: torch.device) -> Lexical:
    rank = min(divide(blueprint).prediction, counts.vocabulary - 1)
    codes, spectrum = factorise(KneserNey(counts), rank, seed, device)
    stream = place_codes(codes, blueprint, read_wiring(blueprint), seed)
    weights = Weights(blueprint, seed)
    write_units(stream.units, weights)
    facts = spectrum.facts() | {"clipped_rows": stream.clipped_rows}
    return Lexical(
        stream.embed, stream.position, stream.head, stream.final_bias, weights.parts, facts
    )


def _table(
    vectors: NDArray[np.float32],
    tokens: NDArray[np.int64],
    blueprint: Blueprint,
    deviation: float | None,
    seed: int,
    name: str,
) -> tuple[Tensor, int]:
    """Vectors (n, r) as the rows of ``tokens`` in a (V, d) table, and how many rows were filled.

    Columns beyond the rank are random with the length of a singular vector, as the published
    factorisation, which asks for d vectors whatever the rank, gives them.
    """
    rows, width = blueprint.vocabulary, blueprint.width
    table = np.zeros((rows, width), np.float32)
    rank = vectors.shape[1]
    table[tokens, :rank] = vectors
    if rank < width:
        extra = generator(seed, "dpi", name, "columns")
        noise = extra.standard_normal((len(tokens), width - rank), dtype=np.float32)
        scale = np.linalg.norm(vectors) / np.sqrt(max(1, rank * len(tokens)))
        table[tokens, rank:] = np.float32(scale) * noise
    if deviation is not None:
        table *= np.float32(deviation) / max(float(table[tokens].std()), 1e-30)
    lengths = np.linalg.norm(table, axis=1)
    empty = np.flatnonzero(lengths <= _EMPTY * np.sqrt(np.mean(lengths[tokens] ** 2)))
    if len(empty):
        table[empty] = _noise((len(empty), width), seed, f"{name} rows")
    return torch.from_numpy(table), len(empty)


def _noise(shape: tuple[int, int], seed: int, name: str) -> NDArray[np.float32]:
    drawn = generator(seed, "dpi", name).standard_normal(shape, dtype=np.float32)
    noise: NDArray[np.float32] = np.float32(_DEVIATION) * drawn
    return noise


def save_lexical(lexical: Lexical, directory: Path) -> None:
    """Write it into ``directory``, so that a resumed run need not factorise again."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = {name: getattr(lexical, name) for name in _PARTS}
    parts |= {f"lift.{layer}.{role}": part for (role, _, layer), part in lexical.lift.items()}
    for name, part in parts.items():
        if part is not None:
            np.save(directory / f"{name}.npy", part.numpy(), allow_pickle=False)
    # last: it says that the others are whole
    publish_text(directory / _FACTS, json.dumps(lexical.facts))


def load_lexical(directory: Path) -> Lexical | None:
    """What :func:`save_lexical` wrote, bit for bit; ``None`` where it did not finish."""
    if not (directory / _FACTS).is_file():
        return None
    found = {
        path.stem: torch.from_numpy(np.load(path, allow_pickle=False))
        for path in sorted(directory.glob("*.npy"))
    }
    lift: Compiled = {}
    for name, part in found.items():
        if name.startswith("lift."):
            _, layer, role = name.split(".")
            lift[Role(role), Kind.WEIGHT, int(layer)] = part
    facts = json.loads((directory / _FACTS).read_text(encoding="utf-8"))
    parts = {name: found.get(name) for name in _PARTS if name != "embed"}
    return Lexical(found["embed"], **parts, lift=lift, facts=facts)
