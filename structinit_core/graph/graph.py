"""A graph of typed, weighted links as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from structinit_core.graph.names import Names

NO_NEURON = -1
UNTYPED = ""
"""The relation of links that have none."""


@dataclass(frozen=True, eq=False)
class Graph:
    """P particles, S relations and E distinct links subject → object.

    subject, relation, object: int32 (E,), rows of ``particles`` and ``relations``; no two links
    share all three; in the order of first appearance. weight: float64 (E,), finite and positive,
    summed over the rows of the input that say the same. neuron: int32 (E,), who said it first,
    ``NO_NEURON`` where nobody is named. height: int64 (E,), of the first row, 0 where none is
    given. labels: P names to show, "" where there is none; ``None`` where no label is known.
    """

    particles: Names
    relations: Names
    neurons: Names
    subject: NDArray[np.int32]
    relation: NDArray[np.int32]
    object: NDArray[np.int32]
    weight: NDArray[np.float64]
    neuron: NDArray[np.int32]
    height: NDArray[np.int64]
    labels: Names | None = None

    def __len__(self) -> int:
        """E."""
        return len(self.subject)

    def adjacency(self, relation: int | None = None) -> sp.csr_array:
        """Weights of the links as a CSR (P, P), row subject, column object: float64.

        Of one relation, or of all added. Time and memory O(P + E).
        """
        of = slice(None) if relation is None else self.relation == relation
        shape = (len(self.particles), len(self.particles))
        cells = (self.subject[of], self.object[of])
        return sp.coo_array((self.weight[of], cells), shape=shape).tocsr()

    def label(self, particle: int) -> str:
        """What to show for a particle: its label, or else its name."""
        return (self.labels[particle] if self.labels else "") or self.particles[particle]

    def only(self, chosen: NDArray[np.bool_]) -> Graph:
        """The same particles and relations with the chosen links (E,) alone."""
        columns = {
            name: getattr(self, name)[chosen]
            for name in ("subject", "relation", "object", "weight", "neuron", "height")
        }
        return Graph(self.particles, self.relations, self.neurons, **columns, labels=self.labels)
