from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import expm

from structinit_core.graph import Graph
from structinit_core.graph.focus import pagerank
from structinit_core.graph.tri_kernel import heat_series, stated_contraction, tri_kernel

from .graphs import bostrom, graph_of, permuted, random_graph


def _step(graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
    """The dense step of the published constants, not normalised."""
    adjacency = graph.adjacency().toarray()
    size = len(adjacency)
    out, both = adjacency.sum(axis=1), adjacency + adjacency.T
    degree = both.sum(axis=1)
    transition = np.full((size, size), 1 / size)
    transition[out > 0] = adjacency[out > 0] / out[out > 0, None]
    walk = np.divide(both, degree, out=np.eye(size), where=degree > 0)
    mixed = 0.5 * 0.85 * transition.T + 0.2 * expm(walk - np.eye(size))
    mixed += 0.3 * both / (1 + degree)[:, None]
    given = 0.5 * 0.15 / size + 0.3 / size / (1 + degree)
    return lambda values: mixed @ values + given


@pytest.mark.parametrize("links", [0, 1, 30, 300])
def test_the_result_is_a_fixed_point_of_the_published_step(links: int) -> None:
    graph = random_graph(60, links)
    focus = tri_kernel(graph, tolerance=1e-12)
    after = _step(graph)(focus.values)
    assert focus.converged
    np.testing.assert_allclose(after / after.sum(), focus.values, rtol=1e-6)


def test_extrapolation_saves_steps_and_finds_the_rate_of_the_plain_ones() -> None:
    graph = bostrom()
    step, values, residuals = _step(graph), np.full(1304, 1 / 1304), []
    while not residuals or residuals[-1] >= 1e-6:
        after = step(values)
        after /= after.sum()
        residuals.append(np.abs(after - values).sum())
        values = after
    focus = tri_kernel(graph)
    assert focus.iterations < len(residuals) / 3
    assert np.abs(focus.values - values).sum() < 1e-5
    assert focus.contraction == pytest.approx(residuals[-1] / residuals[-2], abs=1e-3)


def test_diffusion_alone_is_pagerank() -> None:
    graph = random_graph(60, 300)
    focus = tri_kernel(graph, mix=(1, 0, 0), tolerance=1e-12)
    np.testing.assert_allclose(focus.values, pagerank(graph, tolerance=1e-13).values, rtol=1e-8)


def test_only_springs_see_the_unit_of_the_weights() -> None:
    graph = random_graph(60, 300)
    pairs = list(zip(graph.subject, graph.object, strict=True))
    scaled = graph_of(pairs, 60, graph.weight * 1000)

    def moved(mix: tuple[float, float, float]) -> float:
        return float(
            np.abs(tri_kernel(graph, mix=mix).values - tri_kernel(scaled, mix=mix).values).max()
        )

    assert moved((0.5, 0, 0.5)) < 1e-9
    assert moved((0.5, 0.3, 0.2)) > 1e-4


def test_other_numbers_of_the_particles_change_nothing_else() -> None:
    graph = random_graph(80, 250)
    order = np.random.default_rng(3).permutation(80)
    focus, moved = tri_kernel(graph), tri_kernel(permuted(graph, order))
    np.testing.assert_allclose(moved.values[order], focus.values, rtol=1e-6)


def test_a_start_that_is_the_focus_ends_at_once() -> None:
    graph = bostrom()
    cold = tri_kernel(graph)
    warm = tri_kernel(graph, start=cold.values)
    assert warm.iterations <= 2 < cold.iterations
    assert np.abs(warm.values - cold.values).sum() < 1e-5


@pytest.mark.parametrize("time", [0.0, 0.1, 1.0, 30.0])
def test_the_series_of_the_heat(time: float) -> None:
    points = np.linspace(-1, 1, 41)
    sums = np.polynomial.chebyshev.chebval(points, heat_series(time))
    np.testing.assert_allclose(sums, np.exp(-time * (1 - points)), atol=2e-9)


def test_the_stated_contraction_stays_below_its_terms() -> None:
    # α = .85, a norm without bound and no gap: .5·.85 + .3 + .2
    assert stated_contraction(1e12, 0.0) == pytest.approx(0.925)
    assert stated_contraction(1.0, 100.0) == pytest.approx(0.5 * 0.85 + 0.3 * 0.5)


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="sums to 1"):
        tri_kernel(random_graph(6, 8), mix=(0.5, 0.5, 0.5))
