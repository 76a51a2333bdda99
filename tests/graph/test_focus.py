from __future__ import annotations

import numpy as np
import pytest

from structinit_core.errors import InputError, NumericalError
from structinit_core.graph import Graph
from structinit_core.graph.focus import pagerank

from .graphs import bostrom, graph_of, permuted, random_graph


def _solved(graph: Graph, damping: float) -> np.ndarray:
    """PageRank by a dense linear solve: x = α·Pᵀx + (α·x(dangling) + 1 − α)/P."""
    adjacency = graph.adjacency().toarray()
    out = adjacency.sum(axis=1)
    size = len(out)
    transition = np.full((size, size), 1 / size)
    transition[out > 0] = adjacency[out > 0] / out[out > 0, None]
    np.testing.assert_allclose(transition.sum(axis=1), 1)
    uniform = np.full(size, (1 - damping) / size)
    return np.linalg.solve(np.eye(size) - damping * transition.T, uniform)


@pytest.mark.parametrize("damping", [0.5, 0.85])
@pytest.mark.parametrize("links", [0, 1, 30, 300])
def test_focus_solves_the_linear_system(links: int, damping: float) -> None:
    graph = random_graph(60, links)
    focus = pagerank(graph, damping=damping, tolerance=1e-13)
    assert focus.converged
    np.testing.assert_allclose(focus.values, _solved(graph, damping), rtol=1e-9)


def test_a_link_of_weight_one_is_not_taken_for_a_missing_one() -> None:
    # 0 → 1 of weight 1 alone, 2 dangles: note 6, error 15
    graph = graph_of([(0, 1), (1, 2), (1, 0)], 3, weight=[1, 3, 1])
    focus = pagerank(graph, tolerance=1e-13)
    np.testing.assert_allclose(focus.values, _solved(graph, 0.85), rtol=1e-9)


def test_steps_and_residuals_are_those_of_the_plain_power_iteration() -> None:
    graph = random_graph(60, 300)
    adjacency = graph.adjacency().toarray()
    out = adjacency.sum(axis=1)
    values, residuals = np.full(60, 1 / 60), []
    while not residuals or residuals[-1] >= 1e-8:
        passed = adjacency.T @ np.divide(values, out, out=np.zeros(60), where=out > 0)
        after = 0.85 * passed + (0.85 * values[out == 0].sum() + 0.15) / 60
        residuals.append(np.abs(after - values).sum())
        values = after
    focus = pagerank(graph)
    np.testing.assert_allclose(focus.residuals, residuals, rtol=1e-6)
    np.testing.assert_allclose(focus.values, values, rtol=1e-12)


def test_no_step_contracts_less_than_the_damping() -> None:
    for graph in (random_graph(60, 300), graph_of([(i, (i + 1) % 9) for i in range(9)], 9)):
        focus = pagerank(graph, start=np.arange(1.0, len(graph.particles) + 1))
        ratios = np.divide(focus.residuals[1:], focus.residuals[:-1])
        assert ratios.max() <= 0.85 * (1 + 1e-6)
        assert focus.contraction == np.median(ratios)


def test_other_numbers_of_the_particles_change_nothing_else() -> None:
    graph = random_graph(80, 250)
    order = np.random.default_rng(3).permutation(80)
    focus, moved = pagerank(graph), pagerank(permuted(graph, order))
    assert focus.iterations == moved.iterations
    np.testing.assert_allclose(moved.values[order], focus.values, rtol=1e-12)


def test_a_start_that_is_the_focus_ends_at_once_and_a_shorter_one_is_filled() -> None:
    graph = bostrom()
    cold = pagerank(graph)
    warm = pagerank(graph, start=cold.values)
    assert warm.iterations < cold.iterations / 4
    assert np.abs(warm.values - cold.values).sum() < 1e-7
    grown = pagerank(graph, start=cold.values[:1000])
    assert np.abs(grown.values - cold.values).sum() < 1e-7


def test_the_limit_stops_the_iteration() -> None:
    focus = pagerank(random_graph(60, 300), limit=3)
    assert (focus.iterations, focus.converged) == (3, False)
    assert focus.values.sum() == pytest.approx(1)


def test_what_no_focus_can_be_made_of_is_refused() -> None:
    graph = random_graph(6, 8)
    for start in (np.zeros(6), np.full(6, np.nan), -np.ones(6), np.ones(7)):
        with pytest.raises(InputError):
            pagerank(graph, start=start)
    with pytest.raises(InputError):
        pagerank(graph_of([], 0))
    with pytest.raises(NumericalError):
        pagerank(graph_of([(0, 1), (0, 2)], 3, weight=[1.5e308, 1.5e308]))
