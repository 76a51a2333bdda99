"""Particles that have as many links of each relation: to a prior they are one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from structinit_core.graph.prediction.directed import Directed

_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True, eq=False)
class Alike:
    """G kinds of particles, by how many links of each directed relation they have.

    links: the runs of one particle of each kind, without neighbours; times: float64 (G,), how
    many particles are of it; of: int32 (P,), the kind of each. In a large graph most particles
    have a link or two, so that G is a small part of P.
    """

    links: Directed
    times: NDArray[np.float64]
    of: NDArray[np.int32]


def alike(links: Directed) -> Alike:
    """The kinds of particles: time O(runs + P log P), told apart by 64 bits of hash."""
    lengths = np.diff(links.run_start)
    mixed = _mixed(
        (links.run_relation.astype(np.uint64) << np.uint64(40)) + lengths.view(np.uint64)
    )
    sums = np.r_[np.uint64(0), np.cumsum(mixed, dtype=np.uint64)]
    _, first, of, times = np.unique(
        np.diff(sums[links.runs]), return_index=True, return_inverse=True, return_counts=True
    )
    low, counts = links.runs[first], np.diff(links.runs)[first]
    runs = np.r_[0, np.cumsum(counts)]
    taken = np.repeat(low - runs[:-1], counts) + np.arange(runs[-1])
    one_of_each = Directed(
        relations=links.relations,
        runs=runs,
        run_relation=links.run_relation[taken],
        run_start=np.r_[0, np.cumsum(lengths[taken])],
        neighbour=np.zeros(0, np.int32),
    )
    return Alike(one_of_each, times.astype(np.float64), of.astype(np.int32))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of a value spread over 64 bits."""
    values = (values + _FIRST) * _SECOND
    values ^= values >> np.uint64(31)
    values *= _FIRST
    return values ^ (values >> np.uint64(29))
