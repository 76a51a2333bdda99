from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from structinit_core.errors import UsageError
from structinit_core.graph.architecture import depth, parameters, stated_rate, vocabulary
from structinit_core.graph.statistics import graph_statistics
from structinit_core.graph.suggestion import suggest

from .graphs import bostrom, graph_of, permuted, random_graph, real, triples


def test_the_published_steps_are_one_too_many() -> None:
    # the seeds' origins, error 12: 16 for .74, not 17; 18 for .765; 29 for .85
    assert [depth(6, rate).steps for rate in (0.74, 0.765, 0.8487)] == [16, 18, 29]
    assert depth(6, 0.74).layers == 96
    assert depth(10, 0.8487).layers == 290


def test_the_stated_contraction_cannot_exceed_the_damping() -> None:
    assert stated_rate(0.85, 0.0015) == pytest.approx(0.8487, abs=5e-5)
    assert max(stated_rate(0.85, gap) for gap in np.linspace(0, 1, 11)) <= 0.85


def test_depth_is_kept_within_its_bounds_and_says_so() -> None:
    shallow, deep = depth(1, 1e-9), depth(40, 1.0)
    assert (shallow.contraction, shallow.layers, shallow.clamped) == (0.001, 1, 4)
    assert (deep.contraction, deep.clamped) == (0.999, 512)
    assert deep.layers > 512


def test_the_published_size_is_of_another_width() -> None:
    # error 13: d = 300 and 290 layers are 1.26 billion tied parameters, not 4.19
    assert parameters(3_143_630, 300, 290, tied=True) == pytest.approx(1.26e9, rel=5e-3)
    extra = parameters(1000, 64, 2, tied=False) - parameters(1000, 64, 2, tied=True)
    assert (extra, vocabulary(1000, 12)) == (64_000, 1024)


@pytest.mark.parametrize("relations", [1, 2, 11, 46, 1345])
@pytest.mark.parametrize("rank", [0.0, 17.1, 77.5, 300.2, 9000.0])
def test_suggested_heads_divide_the_width_into_even_parts(relations: int, rank: float) -> None:
    sizes = suggest(effective_rank=rank, values=100, relations=relations, diameter=21)
    assert sizes.width % (2 * sizes.heads) == 0
    assert sizes.width >= 64
    assert min(4096, rank) <= sizes.width < max(64, rank) + 2 * sizes.heads
    assert sizes.heads <= relations
    assert sizes.layers == 12


def test_what_was_asked_for_wins_and_the_disagreement_is_told() -> None:
    found = {"effective_rank": 77.5, "values": 100, "relations": 11, "diameter": 5}
    own = suggest(**found)
    assert not any("asked" in reason for reason in own.reasons)
    sizes = suggest(**found, width=256, layers=3)
    assert (sizes.width, sizes.heads, sizes.layers) == (256, 8, 3)
    assert "d = 256 was asked for" in sizes.reasons[0]
    assert "L = 3 was asked for" in sizes.reasons[2]
    assert suggest(**found, heads=4).heads == 4


def test_sizes_that_cannot_be_are_refused() -> None:
    found = {"effective_rank": 77.5, "values": 100, "relations": 11, "diameter": 5}
    with pytest.raises(UsageError, match="do not divide"):
        suggest(**found, width=100, heads=7)
    with pytest.raises(UsageError, match="not positive"):
        suggest(**found, layers=0)
    with pytest.raises(UsageError, match="stakes"):
        graph_statistics(random_graph(20, 40), stake=np.ones(3))


def test_every_statistic_of_a_real_graph_exists_and_is_json() -> None:
    graph = triples(real("small-kgs", "umls", "train.tsv"))
    found = graph_statistics(graph, with_tri_kernel=False)
    rows = json.loads(json.dumps([dataclasses.asdict(one) for one in found.statistics]))
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    assert {row["name"] for row in rows if row["value"] is None} == {
        "neurons.gini",
        "neurons.top",
        "neurons.top_five",
    }
    assert found.value("h*") == len(graph.relations) == 46
    with pytest.raises(KeyError):
        found.value("tri_kernel.entropy")


def test_statistics_agree_with_each_other_and_with_the_stake() -> None:
    graph = bostrom()
    stake = np.arange(14.0)
    found = graph_statistics(graph, stake=stake)
    assert found.value("L*") == depth(18, stated_rate(0.85, found.value("spectral_gap"))).layers
    assert found.value("neurons.top") == 13 / stake.sum()
    assert found.value("pagerank.entropy") < np.log2(1304)
    assert found.value("tri_kernel.stated_contraction") < 0.925
    assert found.value("tri_kernel.contraction") < 1
    assert found.tri_kernel is not None


def test_other_numbers_of_the_particles_change_no_statistic() -> None:
    graph = bostrom()
    moved = permuted(graph, np.random.default_rng(5).permutation(1304))
    for one, other in zip(
        graph_statistics(graph).statistics, graph_statistics(moved).statistics, strict=True
    ):
        assert one.name == other.name
        if not one.name.endswith("residual"):
            assert one.value == pytest.approx(other.value, rel=1e-3), one.name


def test_two_runs_are_equal() -> None:
    graph = random_graph(200, 900)
    assert graph_statistics(graph).statistics == graph_statistics(graph).statistics


def test_a_graph_without_links_has_statistics() -> None:
    found = graph_statistics(graph_of([], 5))
    assert found.value("pagerank.entropy") == pytest.approx(np.log2(5))
    assert (found.value("d*"), found.value("diameter"), found.value("spectral_gap")) == (0, 0, None)
