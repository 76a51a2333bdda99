"""Particles of one kind have as many links of every relation."""

from __future__ import annotations

import numpy as np

from structinit_core.graph.prediction import directed
from structinit_core.graph.prediction.alike import alike


def test_kinds_are_the_distinct_rows_of_degrees(random_graph) -> None:
    links = directed(random_graph)
    kinds = alike(links)
    degrees = np.stack([links.degrees(relation) for relation in range(links.relations)], 1)
    of_kinds = np.stack([kinds.links.degrees(relation) for relation in range(links.relations)], 1)
    assert np.array_equal(of_kinds[kinds.of], degrees)
    assert len(kinds.times) == len(np.unique(degrees, axis=0))
    assert np.array_equal(kinds.times, np.bincount(kinds.of))
