"""What the seeds' origins found wrong with the published formulas, found again."""

from __future__ import annotations

import numpy as np
import pytest

from structinit_core.graph import Graph, LinkSource, read_graph
from structinit_core.initializers.graph.faithful import VERSIONS, Published, flaws, publish
from structinit_core.initializers.graph.faithful.flaws import (
    off_stochastic,
    projection_error,
    reconstruction,
)
from structinit_core.initializers.graph.faithful.heads import projected
from structinit_core.initializers.graph.faithful.sizes import effective_rank
from structinit_core.linalg import generator
from structinit_core.progress import Silent

from ...graph.graphs import graph_of
from .conftest import FIXTURES


def built(graph: Graph, version: str, **sizes: int) -> Published:
    return publish(VERSIONS[version], graph, 1 << 30, **sizes, progress=Silent())


def measured(parts: Published) -> dict[str, float | None]:
    return {flaw.name: flaw.value for flaw in flaws(parts)}


def both_ways(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted({*pairs, *((b, a) for a, b in pairs)})


@pytest.fixture(scope="module")
def digraph() -> list[tuple[int, int]]:
    """400 particles, each pair linked with a chance of 0.02."""
    linked = generator(0, "digraph").random((400, 400)) < 0.02
    np.fill_diagonal(linked, False)
    return [(int(a), int(b)) for a, b in np.argwhere(linked)]


def test_rows_do_not_reconstruct_the_links_even_at_full_rank(digraph) -> None:
    # error 2: 1.15, 1.41, 1.40, 1.39
    triangle = both_ways([(0, 1), (1, 2), (2, 0)])
    cycle = both_ways([(0, 1), (1, 2), (2, 3), (3, 0)])
    for pairs, size, expected in (
        (triangle, 3, (4 / 3) ** 0.5),
        (cycle, 4, 2**0.5),
        (digraph, 400, 1.40),
        (both_ways(digraph), 400, 1.39),
    ):
        found = measured(built(graph_of(pairs, size), "v3", width=400, layers=1))
        assert found["reconstruction"] == pytest.approx(expected, abs=0.015)
        assert found["reconstruction.optimum"] == pytest.approx(0, abs=1e-3)


def test_reconstruction_is_that_of_the_dense_matrices(digraph) -> None:
    parts = built(graph_of(digraph, 400), "v3", width=60, layers=1)
    rows, dense = parts.rows.astype(np.float64), parts.graph.adjacency()
    whole = dense.toarray()
    expected = np.linalg.norm(rows @ rows.T - whole) / np.linalg.norm(whole)
    assert reconstruction(dense, rows) == pytest.approx(expected)
    projection = projected(dense, rows)
    approximation = rows @ projection @ rows.T
    expected = np.linalg.norm(approximation - whole) / np.linalg.norm(whole)
    assert projection_error(dense, rows, projection) == pytest.approx(expected)


def test_the_optimum_is_that_of_eckart_and_young(digraph) -> None:
    parts = built(graph_of(digraph, 400), "v3", width=64, layers=1)
    root = np.sqrt(parts.focus.values)
    dense = root[:, None] * parts.graph.adjacency().toarray() * root
    exact = np.linalg.svd(dense, compute_uv=False)
    expected = np.sqrt((exact[64:] ** 2).sum() / (exact**2).sum())
    assert measured(parts)["reconstruction.optimum"] == pytest.approx(expected, abs=1e-4)


def test_a_projection_is_worse_than_the_least_squares_one(digraph) -> None:
    # error 3: .889 and .767 at rank 60; without roots of values they are the same
    graph = graph_of(both_ways(digraph), 400)
    found = measured(built(graph, "v3", width=60, layers=1))
    assert found["projection.pseudo_inverse"] == pytest.approx(0.767, abs=0.03)
    assert found["projection"] > found["projection.pseudo_inverse"] + 0.1
    found = measured(built(graph, "v2", width=60, layers=1))
    assert found["projection"] == pytest.approx(found["projection.pseudo_inverse"])


def test_a_bipartite_graph_has_three_quarters_of_its_rows_zero() -> None:
    # error 1
    linked = np.argwhere(generator(0, "bipartite").random((50, 150)) < 0.1)
    pairs = [(int(a), 50 + int(b)) for a, b in linked]
    parts = built(graph_of(pairs, 200), "v3", layers=1)
    assert measured(parts)["zero_rows"] == pytest.approx(0.75, abs=0.005)
    assert not parts.rows[50:].any()
    assert not projected(parts.graph.adjacency(), parts.rows.astype(np.float64)).any()


def test_most_particles_of_a_real_sample_are_never_a_source() -> None:
    # error 1: 80.8 %; error 16: near uniform in nats; error 14
    graph = read_graph(LinkSource([FIXTURES / "bostrom-cyberlinks.csv"]))[0]
    parts = built(graph, "v3", layers=1)
    found = measured(parts)
    assert found["never_a_source"] == pytest.approx(0.808, abs=5e-4)
    assert found["zero_rows"] >= found["never_a_source"]
    assert found["entropy.nats"] == pytest.approx(found["entropy"] * np.log(2))
    assert 0.9 < found["entropy"] / found["entropy.most"] < 1
    assert found["stochastic.off"] > 0.9
    # errors 12 and 13
    assert found["contraction.stated"] <= 0.85
    assert found["layers.published"] == found["layers.hops"] * found["layers.steps"]
    assert parts.sizes.layers == 1
    assert built(graph, "v3").sizes.layers == found["layers.clamped"]


def test_the_rank_depends_on_how_many_values_are_taken(digraph) -> None:
    # error 11
    found = measured(built(graph_of(digraph, 400), "v3", layers=1))
    ranks = [found[f"rank.of_{count}"] for count in (20, 50, 100, 200)]
    assert ranks == sorted(ranks)
    assert ranks[-1] > 8 * ranks[0]


def test_the_rank_of_equal_values_is_their_number() -> None:
    assert effective_rank(np.full(12, 0.3)) == pytest.approx(12)
    assert effective_rank(np.array([2.0, 0.0])) == 1
    assert effective_rank(np.zeros(0)) == 1


def test_values_and_outputs_are_together_a_projector(digraph) -> None:
    # error 5: the identity at full rank, so values carry nothing of a relation
    parts = built(graph_of(digraph, 400), "v3", width=64, layers=1)
    found = measured(parts)
    assert found["values_outputs.projector"] < 1e-9
    assert found["values_outputs.trace"] == pytest.approx(64)
    copied = parts.attention(1)
    np.testing.assert_allclose(copied.value @ copied.output, np.eye(64), atol=1e-8)


def test_the_published_test_of_attention_passes_where_attention_fails() -> None:
    # error 4: it compares a truncated SVD with what was factored
    graph = read_graph(LinkSource([FIXTURES / "umls/train.tsv"]))[0]
    found = measured(built(graph, "v3", layers=1))
    assert found["pearson.projection.least"] >= 0.7
    assert found["pearson.transition.mean"] < 0.6
    assert found["pearson.transition.least"] < 0.2


def test_columns_that_are_not_stochastic_are_counted() -> None:
    # out-weights 3, 1, 0 over in-weights 0, 2, 2
    graph = graph_of([(0, 1), (0, 2), (1, 2)], 3, weight=[2, 1, 1])
    assert off_stochastic(graph.adjacency()) == pytest.approx((1.0, 0.5))
    cycle = graph_of([(0, 1), (1, 2), (2, 0)], 3)
    assert off_stochastic(cycle.adjacency()) == (0, 1)
