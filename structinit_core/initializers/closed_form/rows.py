"""Rows of the stream: how long they may be, what fills them up, positions and padding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Norm, Role
from structinit_core.initializers.closed_form.codes import LogBilinear, least_log_normalizer
from structinit_core.initializers.closed_form.parts import as_float, holds
from structinit_core.initializers.closed_form.positions import frequencies
from structinit_core.linalg import generator

POSITION_ENERGY = 0.15
"""Squared length of a position over that of a token."""
_CLIP_QUANTILE = 0.9995
_PADDING_MASS = 12.0
"""All rows beyond the tokenizer's vocabulary get at most exp(-12) of any prediction."""

Floats = NDArray[np.float64]


def clip(rows: Floats) -> tuple[Floats, int, float]:
    """Rows no longer than the clip quantile, how many were, and that length."""
    lengths = np.linalg.norm(rows, axis=1)
    longest = max(float(np.quantile(lengths, _CLIP_QUANTILE, method="lower")), 1e-6)
    factors = np.minimum(1.0, longest / np.maximum(lengths, 1e-30))
    return rows * factors[:, None], int((lengths > longest).sum()), longest


def filler(rows: Floats, radius: float, into: Floats, seed: int, name: str) -> Floats:
    """Random-sign codes in the coordinates ``into`` that bring each row to length ``radius``."""
    size = into.shape[1]
    signs = generator(seed, "closed-form", name).choice((-1.0, 1.0), (len(rows), size))
    missing = np.sqrt(np.maximum(radius**2 - (rows**2).sum(axis=1), 0.0) / size)
    codes: Floats = (signs * missing[:, None]) @ into.T
    return codes


def padded_bias(predictor: LogBilinear, rows: int) -> Floats:
    """Centred biases of ``rows`` tokens; those beyond the predictor's are improbable."""
    bias = predictor.bias.double().numpy()
    padding = rows - len(bias)
    padded = np.full(rows, bias.min())
    padded[: len(bias)] = bias
    if padding:
        bound = least_log_normalizer(predictor) - np.log(padding) - _PADDING_MASS
        padded[len(bias) :] = min(float(bias.min()), float(bound))
    centred: Floats = padded - padded.mean()
    return centred


def carries_constant(blueprint: Blueprint) -> bool:
    """Whether the rows of a model with an untied head hold a constant."""
    biased = blueprint.learned_positions or holds(blueprint, Role.ATTN_Q, Kind.BIAS)
    return blueprint.norm is Norm.RMS or not biased


def position_energy(blueprint: Blueprint) -> float:
    """Squared length of a position over that of a token; 0 where positions are rotary."""
    return POSITION_ENERGY if blueprint.learned_positions else 0.0


def position_table(
    blueprint: Blueprint, into: Floats, seed: int, scale: float = 1.0
) -> Tensor | None:
    """Cosine and sine pairs of one length for every position: float32 (context, d)."""
    if not blueprint.learned_positions:
        return None
    pairs = into.shape[1] // 2
    angles = np.outer(np.arange(blueprint.context), frequencies(pairs, blueprint.context, seed))
    length = scale * np.sqrt(POSITION_ENERGY * blueprint.width / pairs)
    table = length * np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    return as_float(table @ into.T)
