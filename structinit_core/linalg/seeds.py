"""Random numbers from names: every draw has its own generator, in any order of drawing."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """The PCG64 generator of ``seed`` and ``names`` (a stage, a tensor).

    Deterministic on every machine; two generators with different names are independent.
    """
    words = [zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=tuple(words)))
