"""What a graph looks like, and the transformer that it suggests."""

from __future__ import annotations

from dataclasses import dataclass

from structinit_core.errors import UsageError
from structinit_core.graph.components import components
from structinit_core.graph.diameter import diameter
from structinit_core.graph.entries import (
    Statistic,
    of_depth,
    of_focus,
    of_links,
    of_neurons,
    of_size,
    of_spectrum,
)
from structinit_core.graph.focus import Floats, Focus, pagerank
from structinit_core.graph.graph import Graph
from structinit_core.graph.spectrum import (
    VALUES,
    Weighting,
    laplacian_norm,
    singular_values,
    spectral_gap,
)
from structinit_core.graph.suggestion import Suggestion, suggest
from structinit_core.graph.tri_kernel import tri_kernel


@dataclass(frozen=True, eq=False)
class GraphStatistics:
    """All statistics in the order to show them, and what they were taken from.

    focus: by PageRank; tri_kernel: by the tri-kernel, ``None`` where it was not asked for;
    singular_values: descending; suggestion: the sizes that the forecast is of.
    """

    statistics: tuple[Statistic, ...]
    focus: Focus
    tri_kernel: Focus | None
    singular_values: tuple[float, ...]
    suggestion: Suggestion

    def value(self, name: str) -> float | int | None:
        """The value of the statistic of this name.

        Raises:
            KeyError: there is none.
        """
        for statistic in self.statistics:
            if statistic.name == name:
                return statistic.value
        raise KeyError(name)


def graph_statistics(
    graph: Graph,
    *,
    stake: Floats | None = None,
    values: int = VALUES,
    weighting: Weighting = "focus",
    with_tri_kernel: bool = True,
    start: Floats | None = None,
    width: int | None = None,
    heads: int | None = None,
    layers: int | None = None,
) -> GraphStatistics:
    """Focus, spectrum, shape and concentration of a graph, and the sizes they suggest.

    stake: float64 (neurons,), by default the weight of the links each neuron said first;
    values: how many singular values; start: an earlier focus by PageRank; width, heads and
    layers: what was asked for, see :func:`~structinit_core.graph.suggestion.suggest`. Cost and
    memory of its parts, of which the tri-kernel, the spectral gap and the singular values are
    the dear ones. Deterministic up to the BLAS.

    Raises:
        InputError: there is no particle, or ``start`` is no distribution.
        NumericalError: the weights overflow.
        UsageError: one of the three sizes cannot be, or ``stake`` is of other neurons.
    """
    if stake is not None and len(stake) != len(graph.neurons):
        raise UsageError(
            f"{len(stake):,} stakes for {len(graph.neurons):,} neurons",
            hint="give one for each neuron of the graph, 0 where it has none",
        )
    focus = pagerank(graph, start=start)
    mixed = tri_kernel(graph) if with_tri_kernel else None
    parts = components(graph)
    gap, norm = spectral_gap(parts.both), laplacian_norm(parts.both)
    reach = diameter(parts.both)
    spectrum = singular_values(graph, focus.values, values, weighting)
    suggestion = suggest(
        effective_rank=spectrum.effective_rank,
        values=len(spectrum.values),
        relations=len(graph.relations),
        diameter=reach.lower,
        width=width,
        heads=heads,
        layers=layers,
    )
    found = of_links(graph, parts)
    found += of_focus("pagerank", focus, "φ ← α·Pᵀφ + (α·φ(dangling) + 1 − α)/P, α = .85")
    if mixed:
        formula = "φ ← norm[.5·D(φ) + .3·S(φ) + .2·H(φ)], its limit extrapolated"
        found += of_focus("tri_kernel", mixed, formula)
    found += of_spectrum(parts, gap, norm, spectrum, weighting)
    found += of_depth(reach, gap, focus)
    found += of_neurons(graph, stake)
    found += of_size(graph, suggestion)
    return GraphStatistics(tuple(found), focus, mixed, spectrum.values, suggestion)
