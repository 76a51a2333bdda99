"""Rows to a graph: names numbered, links merged, weights computed, within a memory bound."""

from __future__ import annotations

from collections.abc import Mapping
from math import log1p

import numpy as np
from numpy.typing import NDArray

from structinit_core.errors import InputError, LimitError
from structinit_core.graph.graph import NO_NEURON, Graph
from structinit_core.graph.interning import Interner
from structinit_core.graph.link_table import LinkTable
from structinit_core.graph.names import Names
from structinit_core.graph.row_block import RowBlock


class Tables:
    """What has been read so far: ``rows`` in all, ``clipped`` ones that say nothing positive.

    The weight of a row is its amount times the factor of its neuron: ln(1 + stake) where
    ``stakes`` are given, and 1 where the stake is unknown, is 0, or nobody is named. Rows
    without an amount above 0 give neither a link nor names.
    """

    def __init__(self, stakes: Mapping[str, float] | None, memory_bytes: int) -> None:
        self.clipped = 0
        self.rows = 0
        self.unknown_neurons = 0
        self._stakes = stakes
        self._memory_bytes = memory_bytes
        self._particles, self._relations, self._neurons = Interner(), Interner(), Interner()
        self._links = LinkTable()
        self._factors = np.ones(0)

    def add(self, block: RowBlock) -> None:
        """Add rows.

        Raises:
            LimitError: the tables outgrow their memory, or 32-bit rows.
        """
        said = block.amounts > 0
        kept = block if said.all() else block[said]
        self.rows += len(block)
        self.clipped += len(block) - len(kept)
        ends = np.ascontiguousarray(kept.names[:, :2]).reshape(-1, 2)
        particles = self._particles.add(kept.text, ends)
        relations = self._relations.add(kept.text, np.ascontiguousarray(kept.names[:, 2]))
        neurons = self._number_neurons(kept)
        weights = kept.amounts
        if self._stakes is not None:
            weights = weights * np.append(self._factors, 1.0)[neurons]
        keys = np.stack((particles[::2], relations, particles[1::2], neurons), axis=1)
        # a product of two small numbers may be 0, and every weight is positive
        tiny = np.finfo(np.float64).smallest_subnormal
        self._links.add(keys, kept.heights, np.maximum(weights, tiny))
        held = (self._particles, self._relations, self._neurons, self._links)
        if sum(part.nbytes for part in held) > self._memory_bytes:
            raise LimitError(
                f"{self._particles.count:,} particles and {self._links.count:,} links so far"
                f" outgrow {self._memory_bytes / 2**30:.2f} GiB",
                hint="allow more with --memory",
            )

    def _number_neurons(self, block: RowBlock) -> NDArray[np.int32]:
        """Rows of the neurons, ``NO_NEURON`` where the span is empty; factors of new ones."""
        spans = block.names[:, 3]
        named = spans[:, 1] > spans[:, 0]
        rows = np.full(len(spans), NO_NEURON, np.int32)
        rows[named] = self._neurons.add(block.text, spans[named])
        if self._stakes is not None and len(self._factors) < self._neurons.count:
            names = _names(self._neurons)
            stakes = [
                self._stakes.get(names[row], 0.0) for row in range(len(self._factors), len(names))
            ]
            self.unknown_neurons += stakes.count(0.0)
            factors = [log1p(stake) if stake else 1.0 for stake in stakes]
            self._factors = np.append(self._factors, factors)
        return rows

    def graph(self) -> Graph:
        """The graph of what was added.

        Raises:
            InputError: no link, or weights whose sum is not finite.
        """
        columns = self._links.columns
        if not self._links.count:
            raise InputError("no row gives a link of positive weight")
        if not np.isfinite(columns["weight"].sum()):
            raise InputError("the weights are too large to be added up")
        return Graph(
            _names(self._particles), _names(self._relations), _names(self._neurons), **columns
        )


def _names(interner: Interner) -> Names:
    return Names(interner.text, interner.offsets)
