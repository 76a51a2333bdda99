"""What making a model will take, before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.dpi.sample import CLUSTER_POSITIONS, STREAM_POSITIONS
from structinit_core.initializers.dpi.settings import CALIBRATIONS, DpiSettings

_SCORED_TOKENS = 1 << 16
_SCORING_FLOATS = 10**12
_FEWEST_SCORED = 2048
_SVD_COLUMNS = 3
"""Columns of a Krylov basis for each singular vector, of both sides together."""
_PASS_BYTES = 5 * 4 << 25
"""Activations of a feed-forward at their peak: the entries of one pass, a few times."""
_EIGEN_COST, _QR_COST, _HAAR_COST, _FAST_COST = 30, 4, 4, 1
"""Multiply-adds of a matrix product that d³ of each takes as long as."""
_CLUSTER_ROUNDS = 10


@dataclass(frozen=True)
class Forecast:
    """Bytes at the peak, and multiply-adds (or as long as so many take), by kind."""

    stream_positions: int
    cluster_positions: int
    scored_tokens: int
    memory_bytes: int
    multiply_adds: dict[str, int]

    @property
    def total(self) -> int:
        """All multiply-adds."""
        return sum(self.multiply_adds.values())


def forecast(settings: DpiSettings, blueprint: Blueprint) -> Forecast:
    """Sizes of the samples and what is done with them; nothing is allocated.

    At the peak there are one layer in float32 as it is made and as it is stored, the activation
    sample three times, the embedding and the head, or the factorisation they come from.
    """
    v, d, wide = blueprint.vocabulary, blueprint.width, blueprint.feed_forward
    layers = blueprint.layers
    layer = sum(spec.parameters for spec in blueprint.tensors if spec.layer == 0)
    positions = max(STREAM_POSITIONS, d)
    clustered = 0 if settings.bands or not settings.signatures else max(CLUSTER_POSITIONS, 2 * d)
    spent = _SCORING_FLOATS // (2 * blueprint.parameters)
    scored = min(_SCORED_TOKENS, max(_FEWEST_SCORED, spent))
    rule = CALIBRATIONS[settings.variant]
    passes = 1
    if settings.calibration:
        passes += 1 + rule.at_output
    tables = 4 * v * d * (1 if blueprint.tied else 2)
    factorising = 4 * v * d * _SVD_COLUMNS + 8 * v * d
    cosines = 4 * wide * d if settings.dct or settings.bands else 0
    kept = 4 * (wide + d) * d * (2 if blueprint.gated else 1) if settings.morph_alpha else 0
    streams = 4 * d * (3 * positions + 2 * scored)
    eigen = (8 if d <= 1024 else 4) * 6 * d * d
    making = 2 * 4 * layer + cosines + kept + streams + max(eigen, _PASS_BYTES)
    embedding = 3 * 4 * clustered * d + tables
    square = blueprint.heads * blueprint.head_width * d
    write = {"qr": _HAAR_COST, "fast": _FAST_COST, "none": 0}[settings.orthogonal]
    small = min(d, wide)
    orthogonal = write * (d * square + wide * d * small) // 3
    cost = {
        "lexical": 4 * v * min(v, _SVD_COLUMNS * d) * d,
        "clusters": 2 * _CLUSTER_ROUNDS * clustered * d * d,
        "covariances": layers * positions * d * d,
        "eigenvectors": layers * _EIGEN_COST * d**3 // 3,
        "orthogonal": layers * (orthogonal + _QR_COST * d**3 // 3),
        "activations": layers * layer * (passes * positions + scored),
        "head": scored * v * d,
    }
    return Forecast(
        stream_positions=positions,
        cluster_positions=clustered,
        scored_tokens=scored,
        memory_bytes=(256 << 20) + tables + max(factorising, making, embedding),
        multiply_adds=cost,
    )


def multiply_adds_per_second(device: torch.device) -> float:
    """What this machine does now: the best of a few products of 1,024 × 1,024 in float32."""
    square = torch.ones((1024, 1024), device=device)
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        float((square @ square)[0, 0])
        seconds.append(time.perf_counter() - began)
    return 1024**3 / min(seconds)
