"""What a compilation of a graph will take, from its links alone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from structinit_core.blueprint import Blueprint
from structinit_core.errors import LimitError
from structinit_core.graph import Graph
from structinit_core.initializers.graph import GraphShape
from structinit_core.recipes.solve_plan import LIBRARIES_BYTES

_PER_LINK, _PER_PARTICLE = 400, 600
"""Columns, both directions, tables while they are made; names, focus, priors, codes twice."""
_PER_KEY, _ROWS_OF_KEY = 1_000, 5
"""Objects with their regressions; rows of d that are held: states, units twice, their tensors."""


class GraphForecast(BaseModel):
    """The forecast of one ``graph-compile`` run; bytes are upper estimates.

    ``keys``: the most that are stored; ``known_keys``: those with a known object, of which there
    may be more. ``fits``: whether ``working_bytes`` stays within the memory that was allowed.
    """

    model_config = ConfigDict(frozen=True)
    family: str
    particles: int
    links: int
    relations: int
    vocabulary: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    keys: int
    known_keys: int
    parameters: int
    checkpoint_bytes: int
    working_bytes: int
    memory_bytes: int
    fits: bool


def forecast(
    graph: Graph, shape: GraphShape, known_keys: int, blueprint: Blueprint, memory_bytes: int
) -> GraphForecast:
    """What compiling ``graph`` to ``blueprint`` will take. Both token tables are held whole."""
    per_key = _PER_KEY + 4 * _ROWS_OF_KEY * blueprint.width
    working = 8 * blueprint.vocabulary * blueprint.width
    working += _PER_LINK * len(graph) + _PER_PARTICLE * len(graph.particles)
    working += per_key * shape.keys + 4 * 4 * blueprint.feed_forward * blueprint.width
    return GraphForecast(
        family=shape.family,
        particles=len(graph.particles),
        links=len(graph),
        relations=len(graph.relations),
        vocabulary=blueprint.vocabulary,
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        feed_forward=blueprint.feed_forward,
        keys=shape.keys,
        known_keys=known_keys,
        parameters=blueprint.parameters,
        checkpoint_bytes=4 * blueprint.parameters,
        working_bytes=working,
        memory_bytes=LIBRARIES_BYTES + working,
        fits=working <= memory_bytes,
    )


def refuse_unfit(plan: GraphForecast, memory_bytes: int) -> None:
    """Refuse a compilation before anything of its size is allocated.

    Raises:
        LimitError: the forecast is above ``memory_bytes``.
    """
    if not plan.fits:
        raise LimitError(
            f"compiling {plan.parameters} parameters needs about {plan.working_bytes >> 20} MiB, "
            f"allowed are {memory_bytes >> 20}",
            hint="raise --memory, or take a smaller --width or fewer --keys",
        )
