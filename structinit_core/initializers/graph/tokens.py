"""The vocabulary of a graph: a frame, each relation forwards and backwards, the particles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_ID = 0
"""The token before and after every sequence."""
_SLOTS = 32
"""Rows for relations come in so many, so that a new relation moves no particle."""

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class GraphTokens:
    """Token ids of S relations and P particles: V = 1 + slots + P.

    Relation r has the tokens 1 + 2r and 2 + 2r, forward and inverse; then come slots without
    a relation, then the particles in the order of their rows.
    """

    relations: int
    particles: int

    @property
    def slots(self) -> int:
        """Rows kept for relation tokens: the next multiple of 32."""
        return -(-2 * self.relations // _SLOTS) * _SLOTS

    @property
    def first_particle(self) -> int:
        """The token of particle 0."""
        return 1 + self.slots

    @property
    def vocabulary(self) -> int:
        """V."""
        return self.first_particle + self.particles

    def relation(self, directed: NDArray[np.integer]) -> Ids:
        """Tokens of directed relations: r < S is forward, S + r is its inverse."""
        ids: Ids = 1 + 2 * (directed % self.relations) + directed // self.relations
        return ids.astype(np.int64)

    def directed(self, tokens: NDArray[np.integer]) -> Ids:
        """Directed relations of relation tokens."""
        ids: Ids = (tokens - 1) // 2 + self.relations * ((tokens - 1) % 2)
        return ids.astype(np.int64)

    def relation_token(self, directed: int) -> int:
        """The token of one directed relation."""
        return int(self.relation(np.array([directed]))[0])

    def particle(self, rows: NDArray[np.integer]) -> Ids:
        """Tokens of particles."""
        return rows.astype(np.int64) + self.first_particle
