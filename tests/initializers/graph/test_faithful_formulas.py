"""The published formulas as built, beside dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import LimitError, UsageError
from structinit_core.graph import Graph
from structinit_core.initializers.graph import GraphTokens
from structinit_core.initializers.graph.faithful import (
    VERSIONS,
    Published,
    link_text,
    publish,
    published_tensors,
)
from structinit_core.initializers.graph.faithful.feed_forward import feed_forwards, log_ratio
from structinit_core.initializers.graph.faithful.walks import close_pairs, walks
from structinit_core.linalg import generator
from structinit_core.progress import Silent

from ...graph.graphs import graph_of, random_graph


def built(graph: Graph, version: str, **sizes: int) -> Published:
    return publish(VERSIONS[version], graph, 1 << 30, **sizes, progress=Silent())


def units(parts: Published):
    rows, focus = parts.rows.astype(np.float64), parts.focus.values
    links = parts.graph.adjacency()
    return list(feed_forwards(parts.version, links, rows, focus, parts.powers, parts.seed))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(40, 160)


def test_a_head_holds_the_best_approximation_of_its_projection(graph: Graph) -> None:
    parts = built(graph, "v3", width=12, heads=3, layers=6)
    rows, size = parts.rows.astype(np.float64), 4
    assert parts.powers == [1 + at * parts.reach.hops // 6 for at in range(6)]
    for power in (1, 3):
        heads = parts.attention(power)
        heaviest = np.argsort(-np.bincount(graph.relation, graph.weight), kind="stable")
        for head, relation in enumerate(heaviest):
            dense = graph.adjacency(int(relation)).toarray()
            projection = rows.T @ np.linalg.matrix_power(dense, power) @ rows
            left, values, right = np.linalg.svd(projection)
            own = slice(head * size, (head + 1) * size)
            np.testing.assert_allclose(
                heads.query[:, own] @ heads.key[:, own].T,
                left[:, :size] * values[:size] @ right[:size],
                atol=1e-9 * values[0],
            )
            weighted = parts.focus.values[:, None] * (dense @ rows[:, own])
            np.testing.assert_allclose(heads.value[:, own], rows.T @ weighted, atol=1e-12)


def test_the_first_version_factors_the_links_themselves() -> None:
    # of full rank, so that the rows span all particles and nothing is left out
    drawn = generator(0, "full rank").random((8, 8))
    pairs = [(a, b) for a in range(8) for b in range(8)]
    graph = graph_of(pairs, 8, drawn.ravel())
    parts = built(graph, "v1", width=8, layers=1)
    rows, heads = parts.rows.astype(np.float64), parts.attention(1)
    scores = rows @ heads.query @ heads.key.T @ rows.T
    np.testing.assert_allclose(scores, drawn, atol=1e-4)
    parts = built(graph, "v1", width=8, heads=2, layers=1)
    assert not parts.attention(1).query[:, 4:].any()
    left, values, right = np.linalg.svd(drawn)
    heads = parts.attention(1)
    expected = left[:, :4] * values[:4] @ right[:4] / np.sqrt(2)
    np.testing.assert_allclose(rows @ heads.query @ heads.key.T @ rows.T, expected, atol=1e-4)


def test_path_counts_are_powers_of_the_links(graph: Graph) -> None:
    parts = built(graph, "v2", width=6, heads=1, layers=3)
    rows, dense = parts.rows.astype(np.float64), graph.adjacency().toarray()
    for hops, made in enumerate(units(parts), 1):
        expected = rows.T @ np.linalg.matrix_power(dense, hops) @ rows
        np.testing.assert_allclose(made.first @ made.second, expected, rtol=1e-6, atol=1e-9)
        assert made.first.shape == (6, 24)
        assert not made.first[:, 6:].any()


def test_growing_walks_give_the_signed_log_ratio_of_the_first_version() -> None:
    drawn = generator(0, "full rank").random((20, 20))
    pairs = [(a, b) for a in range(20) for b in range(20)]
    graph = graph_of(pairs, 20, drawn.ravel())
    parts = built(graph, "v1", width=20, layers=3)
    draw = generator(0, "graph", "faithful", "walks")
    found = walks(graph.adjacency(), 2, 3, draw)
    rows = parts.rows.astype(np.float64)
    for hops, made in enumerate(units(parts), 1):
        counts = close_pairs(found[:, : hops + 1], 20)
        table = log_ratio(counts, parts.focus.values, counts.sum())
        product = rows @ made.first @ made.second @ rows.T
        np.testing.assert_allclose(product, table.toarray(), atol=1e-3)


def test_layers_of_the_third_version_have_walks_of_their_own(graph: Graph) -> None:
    first, second, *_ = units(built(graph, "v3", width=6, heads=1, layers=8))
    assert not np.allclose(first.first, second.first)
    again = units(built(graph, "v3", width=6, heads=1, layers=8))[0]
    np.testing.assert_array_equal(first.first, again.first)


def test_the_fourth_version_sees_no_unit_of_weight_and_draws_its_units(graph: Graph) -> None:
    pairs = zip(graph.subject, graph.object, strict=True)
    scaled = graph_of(pairs, 40, 1e9 * graph.weight, relation=graph.relation)
    ours, theirs = (built(one, "v4", width=12, layers=2) for one in (graph, scaled))
    np.testing.assert_allclose(ours.rows, theirs.rows, atol=1e-5)
    made = units(ours)[1]
    assert np.abs(made.first).max() <= (6 / 12) ** 0.5
    assert np.abs(made.second).max() <= 1e-5 * (6 / 48) ** 0.5
    assert np.abs(made.gate).max() > 0.5


def test_walks_follow_links_by_their_weight_and_end_at_dead_ends() -> None:
    graph = graph_of([(0, 1), (0, 2), (2, 3), (3, 2)], 5, weight=[3, 1, 1, 1])
    found = walks(graph.adjacency(), 9000, 4, generator(0, "walks"))
    assert set(found[:, 0]) == {0, 2, 3}
    from_first = found[found[:, 0] == 0]
    assert np.mean(from_first[:, 1] == 1) == pytest.approx(0.75, abs=0.03)
    assert np.all(from_first[from_first[:, 1] == 1][:, 2:] == -1)
    assert set(map(tuple, from_first[from_first[:, 1] == 2].tolist())) == {(0, 2, 3, 2, 3)}
    assert np.all(walks(graph_of([], 3).adjacency(), 4, 2, generator(0, "none")) == -1)


def test_close_pairs_are_those_of_counting_one_by_one() -> None:
    found = walks(random_graph(12, 50).adjacency(), 30, 8, generator(0, "pairs"))
    counts = np.zeros((12, 12))
    for walk in found.tolist():
        for at, one in enumerate(walk):
            for other in walk[at + 1 : at + 6]:
                if other >= 0:
                    counts[one, other] += 1
                    counts[other, one] += 1
    np.testing.assert_array_equal(close_pairs(found, 12).toarray(), counts)


def test_sizes_are_those_of_the_rules_or_those_asked_for(graph: Graph) -> None:
    parts = built(graph, "v3")
    assert parts.sizes.width == 66  # 64 or more, a multiple of twice three relations
    assert parts.sizes.heads == 3
    steps = np.ceil(np.log(100) / np.log(1 / (0.85 * (1 - parts.reach.gap))))
    assert parts.sizes.layers == max(4, parts.reach.hops * steps)
    free = built(graph, "v1").sizes
    assert free.width % 3 == 0
    assert abs(free.width - int(free.wanted)) < 2
    asked = built(graph, "v3", width=24, heads=2, layers=5).sizes
    assert (asked.width, asked.heads, asked.layers) == (24, 2, 5)
    with pytest.raises(UsageError, match="cannot share a width of 30"):
        built(graph, "v3", width=30, heads=2)
    with pytest.raises(LimitError, match="singular vectors"):
        publish(VERSIONS["v3"], graph, 1 << 14, progress=Silent())


def test_the_second_version_leaves_relations_of_no_weight_without_a_head() -> None:
    pairs = [(0, 1), (1, 2), (2, 0)]
    graph = graph_of(pairs, 3, weight=[1, 5000, 5000], relation=[0, 1, 2])
    assert built(graph, "v2").sizes.heads == 2
    assert built(graph, "v3").sizes.heads == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_every_tensor_is_set_and_is_the_same_again(graph: Graph, version: str) -> None:
    parts = built(graph, version, width=12, layers=2)
    tokens = GraphTokens(3, 40)
    blueprint = make_blueprint(parts.sizes.config(parts.version, tokens))
    once, again = (
        {spec.name: tensor for spec, tensor in published_tensors(parts, blueprint, Silent())}
        for _ in range(2)
    )
    assert list(once) == [spec.name for spec in blueprint.tensors if not spec.tied_to]
    assert all(torch.equal(once[name], again[name]) for name in once)
    for name, tensor in once.items():
        if "norm" in name or "ln_" in name:
            assert bool((tensor == (0 if name.endswith("bias") else 1)).all())
    rows = next(iter(once.values()))
    assert not rows[: tokens.first_particle].any()
    np.testing.assert_array_equal(rows[tokens.first_particle :].numpy(), parts.rows)


def test_references_are_those_of_the_links() -> None:
    graph = graph_of([(0, 1), (0, 2), (3, 2)], 4, weight=[1, 3, 4], relation=[0, 1, 1])
    plain, typed = link_text(graph, typed=False), link_text(graph, typed=True)
    np.testing.assert_array_equal(typed.ids, [[0, 33, 1, 34], [0, 33, 3, 35], [0, 36, 3, 35]])
    np.testing.assert_array_equal(plain.ids, typed.ids[:, [1, 3]])
    assert plain.exact == pytest.approx(-np.log([0.25, 0.75, 1]).mean())
    assert typed.exact == 0
    assert plain.unigram == typed.unigram == pytest.approx(-np.log([1 / 8, 7 / 8, 7 / 8]).mean())
    assert plain.uniform == pytest.approx(np.log(37))
