from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Blueprint, make_blueprint
from structinit_core.graph import Graph, LinkSource, directed, fit_paths, read_graph
from structinit_core.initializers.graph import (
    GraphParts,
    GraphShape,
    GraphTokens,
    Keys,
    choose_keys,
    compile_graph,
)
from structinit_core.progress import Silent

FIXTURES = Path(__file__).parents[3] / "fixtures/graphs"


@dataclass(frozen=True)
class Made:
    """A compiled graph with all it was made from."""

    graph: Graph
    tokens: GraphTokens
    keys: Keys
    blueprint: Blueprint
    parts: GraphParts


@pytest.fixture(scope="session")
def family() -> Graph:
    return read_graph(LinkSource([FIXTURES / "family.tsv"]))[0]


@pytest.fixture(scope="session", params=["gpt2", "llama"])
def made(request: pytest.FixtureRequest, family: Graph) -> Made:
    """The family compiled with heads for some relations and units for the others."""
    tokens = GraphTokens(len(family.relations), len(family.particles))
    shape = GraphShape(request.param, width=192, layers=2, heads=4, keys=200)
    blueprint = make_blueprint(shape.config(tokens))
    keys = choose_keys(family, fit_paths(directed(family)), tokens, shape.keys, family.weight)
    focus = np.full(len(family.particles), 1 / len(family.particles))
    parts, _ = compile_graph(
        family, keys, focus, blueprint, seed=0, device=torch.device("cpu"), progress=Silent()
    )
    return Made(family, tokens, keys, blueprint, parts)
