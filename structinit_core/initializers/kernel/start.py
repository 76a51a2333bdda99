"""Embeddings written into the family's own start, at its own scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role
from structinit_core.errors import IncompatibleError, NumericalError


@dataclass(frozen=True)
class Placed:
    """tensors: the family's own by name, but for the embedding; its rows are scale·E, rms ``rms``.

    default_rows: rows that are the family's own, being padding or of tokens without a row in E.
    """

    tensors: dict[str, Tensor]
    scale: float
    rms: float
    default_rows: int


def refuse_untied(blueprint: Blueprint) -> None:
    """Refuse a network whose head is not its embedding; the source is about no other.

    Raises:
        IncompatibleError: an untied head.
    """
    if not blueprint.tied:
        raise IncompatibleError(
            "config: the head is not tied to the embedding, and k0 is of tied models only",
            hint='set "tie_word_embeddings": true in the config',
        )


def place_embeddings(
    blueprint: Blueprint, default: Mapping[str, Tensor], embeddings: NDArray[np.float32]
) -> Placed:
    """``default`` with E (V, d) float32 as the tied embedding, at the rms ``default`` has there.

    One factor for all rows keeps angles and the ratios of norms. The published scale is an accident
    of a clamp (10⁷ and more), and a race between starts of different scale compares the scales.
    Rows of zeros, and rows of the network beyond V, stay as drawn.

    Raises:
        NumericalError: E holds NaN, infinity, or nothing but zeros.
    """
    name = next(
        spec.name
        for spec in blueprint.tensors
        if spec.roles == (Role.EMBED,) and spec.kind is Kind.WEIGHT
    )
    table, rows = default[name].clone(), torch.from_numpy(embeddings)
    used = rows.any(dim=1)
    wanted, own = _rms(table), _rms(rows[used])
    if not 0 < own < float("inf"):
        raise NumericalError("the embeddings hold NaN, infinity or nothing but zeros")
    scale = wanted / own
    table[: len(rows)][used] = scale * rows[used]
    kept = len(table) - int(used.sum())
    return Placed(dict(default) | {name: table}, scale, wanted, kept)


def _rms(rows: Tensor) -> float:
    return float(rows.double().square().mean().sqrt())
