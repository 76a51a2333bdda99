from __future__ import annotations

import numpy as np
import pytest

from structinit_core.graph.components import components
from structinit_core.graph.focus import pagerank
from structinit_core.graph.spectrum import laplacian_norm, singular_values, spectral_gap

from .graphs import bostrom, graph_of, random_graph, real, triples


@pytest.mark.parametrize("links", [1, 2, 40, 60, 400])
def test_gap_and_norm_are_those_of_the_dense_laplacians(links: int) -> None:
    both = components(random_graph(60, links)).both
    dense = both.toarray()
    degree = dense.sum(axis=1)
    normalised = np.eye(len(dense)) - dense / np.sqrt(np.outer(degree, degree))
    gap, norm = spectral_gap(both), laplacian_norm(both)
    assert gap is not None
    assert gap.value == pytest.approx(np.linalg.eigvalsh(normalised)[1], abs=1e-6)
    assert gap.residual < 1e-4
    assert norm == pytest.approx(np.linalg.eigvalsh(np.diag(degree) - dense)[-1], rel=1e-4)


def test_the_gap_of_graphs_known_in_closed_form() -> None:
    star = components(graph_of([(0, i) for i in range(1, 50)], 50)).both
    cycle = components(graph_of([(i, (i + 1) % 60) for i in range(60)], 60)).both
    complete = components(graph_of([(i, j) for i in range(50) for j in range(i)], 50)).both
    gaps = [spectral_gap(both) for both in (star, cycle, complete)]
    known = [1, 1 - np.cos(2 * np.pi / 60), 50 / 49]
    np.testing.assert_allclose([gap.value for gap in gaps if gap], known, atol=1e-5)


def test_the_gap_that_the_published_solver_did_not_find() -> None:
    both = components(triples(real("wn18rr", "train.tsv.gz"))).both
    gap = spectral_gap(both)
    assert gap is not None
    assert 0 < gap.value < 0.01
    assert gap.residual < 1e-4
    assert spectral_gap(both, restarts=1) is None


def test_singular_values_are_those_of_the_dense_matrix() -> None:
    graph = random_graph(60, 300)
    focus = pagerank(graph).values
    root, dense = np.sqrt(60 * focus), graph.adjacency().toarray()
    for weighting, matrix in (
        ("none", dense),
        ("rows", root[:, None] * dense),
        ("focus", root[:, None] * dense * root),
    ):
        exact = np.linalg.svd(matrix, compute_uv=False)
        found = singular_values(graph, focus, 10, weighting)
        np.testing.assert_allclose(found.values, exact[:10], rtol=1e-3)
        tail = (exact[10:] ** 2).sum() / (exact**2).sum()
        assert found.tail == pytest.approx(tail, abs=1e-3)


def test_the_effective_rank_depends_on_how_many_values_are_taken() -> None:
    # the seeds' origins, error 11
    graph = triples(real("wn18rr", "train.tsv.gz"))
    focus = pagerank(graph).values
    found = [singular_values(graph, focus, count) for count in (20, 50, 100)]
    ranks = [one.effective_rank for one in found]
    squared = [one.effective_rank_squared for one in found]
    assert ranks == sorted(ranks)
    assert ranks[2] > 3 * ranks[0]
    assert squared[2] / squared[0] < ranks[2] / ranks[0]
    assert all(rank <= count for rank, count in zip(ranks, (20, 50, 100), strict=True))
    tails = [one.tail for one in found]
    assert tails == sorted(tails, reverse=True)


def test_equal_values_have_their_number_as_rank() -> None:
    pairs = [(i, i + 8) for i in range(8)]
    found = singular_values(graph_of(pairs, 16), np.full(16, 1 / 16), 100)
    assert found.effective_rank == pytest.approx(8)
    assert found.tail == pytest.approx(0, abs=1e-6)


def test_neither_rank_nor_gap_sees_the_unit_of_the_weights() -> None:
    graph = random_graph(60, 300)
    pairs = list(zip(graph.subject, graph.object, strict=True))
    focus, one = pagerank(graph).values, components(graph).both
    plain, gap = singular_values(graph, focus, 10), spectral_gap(one)
    for unit in (1e-30, 1e200):
        scaled = graph_of(pairs, 60, graph.weight * unit)
        found = singular_values(scaled, focus, 10)
        assert found.effective_rank == pytest.approx(plain.effective_rank, rel=1e-5)
        np.testing.assert_allclose(found.values, np.multiply(plain.values, unit), rtol=1e-5)
        both = components(scaled).both
        assert spectral_gap(both).value == pytest.approx(gap.value, rel=1e-5)
        assert laplacian_norm(both) == pytest.approx(laplacian_norm(one) * unit, rel=1e-5)


def test_no_links_have_no_values() -> None:
    graph = graph_of([], 4)
    assert singular_values(graph, np.full(4, 0.25)).effective_rank == 0
    assert spectral_gap(components(graph).both) is None
    assert laplacian_norm(components(bostrom()).both) == pytest.approx(502, abs=1)
