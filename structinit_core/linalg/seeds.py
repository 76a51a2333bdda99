"""Random numbers from names: every draw has its own generator, in any order of drawing."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """The PCG64 generator of ``seed`` and ``names`` (a stage, a tensor).

    Deterministic on every machine; two generators with different names are independent.
    """
    digest = hashlib.sha256(repr(names).encode()).digest()
    words = tuple(np.frombuffer(digest, "<u4").tolist())
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=words))
