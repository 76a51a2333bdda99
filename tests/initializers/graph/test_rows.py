"""Tokens, rows of the stream and the table of what follows what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.graph import Graph
from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.graph import FRAME_ID, GraphShape, GraphTokens
from structinit_core.initializers.graph.codes import factorised, fit_gain, log_ratio
from structinit_core.initializers.graph.layout import divide_graph, place_graph
from structinit_core.initializers.graph.maps import relation_map, spread_of
from structinit_core.initializers.graph.signs import distinct_signs
from structinit_core.initializers.graph.tables import next_tokens


def _focus(graph: Graph) -> np.ndarray:
    return np.full(len(graph.particles), 1 / len(graph.particles))


def test_new_particles_and_a_few_relations_move_no_token() -> None:
    few, more = GraphTokens(3, 10), GraphTokens(16, 500)
    assert few.first_particle == more.first_particle
    assert few.relation(np.array([0, 1, 2])).tolist() == [1, 3, 5]
    assert few.relation(np.array([3, 4, 5])).tolist() == [2, 4, 6]
    assert GraphTokens(17, 10).first_particle > few.first_particle
    assert few.vocabulary == 1 + few.slots + 10


def test_the_table_is_a_distribution_that_walks_could_have(family: Graph) -> None:
    tokens = GraphTokens(len(family.relations), len(family.particles))
    table = next_tokens(family, tokens, _focus(family))
    assert table.sum() == pytest.approx(1)
    dense = table.toarray()
    # A particle follows a relation's token only where the relation leads to it.
    for relation in range(2 * tokens.relations):
        forward = relation < tokens.relations
        of = family.relation == relation % tokens.relations
        ends = set((family.object if forward else family.subject)[of].tolist())
        row = dense[tokens.relation_token(relation), tokens.first_particle :]
        assert set(np.flatnonzero(row).tolist()) == ends
    # What comes into a particle goes out of it, the frame closing what it opened.
    inner = slice(tokens.first_particle, None)
    np.testing.assert_allclose(dense[:, inner].sum(0) > 0, dense[inner].sum(1) > 0)
    assert dense[FRAME_ID].sum() > 0 < dense[:, FRAME_ID].sum()


def test_log_ratios_are_positive_pointwise_information() -> None:
    import scipy.sparse as sp

    table = sp.csr_array(np.array([[4.0, 0, 1], [0, 2, 2], [1, 0, 0]]))
    ratio = log_ratio(table).toarray()
    context = table.sum(axis=0) ** 0.75
    context /= context.sum()
    p = table.toarray() / table.sum(axis=1)[:, None]
    with np.errstate(divide="ignore"):
        expected = np.maximum(np.log(p / context), 0)
    np.testing.assert_allclose(ratio, expected, rtol=1e-5)


def test_no_linked_token_has_a_zero_code(family: Graph) -> None:
    tokens = GraphTokens(len(family.relations), len(family.particles))
    table = next_tokens(family, tokens, _focus(family))
    codes, _ = factorised(table, 30, 0)
    linked = np.unique(np.concatenate((family.subject, family.object)))
    rows = codes.left[torch.from_numpy(tokens.particle(linked))]
    columns = codes.right[torch.from_numpy(tokens.particle(linked))]
    assert float(rows.norm(dim=1).min()) > 1e-3
    assert float(columns.norm(dim=1).min()) > 1e-3


def test_the_gain_is_the_best_one(family: Graph) -> None:
    tokens = GraphTokens(len(family.relations), len(family.particles))
    table = next_tokens(family, tokens, _focus(family))
    codes, _ = factorised(table, 12, 0)
    dense = torch.from_numpy(table.toarray() / np.maximum(table.sum(axis=1), 1e-30)[:, None])

    def loss(gain: float) -> float:
        logits = gain * codes.left.double() @ codes.right.double().T + codes.bias.double()
        return -float((dense * torch.log_softmax(logits, dim=1)).sum())

    assert fit_gain(codes, table, 0) == pytest.approx(1, abs=0.01)
    assert loss(1.0) < min(loss(0.9), loss(1.1))


@pytest.mark.parametrize("family_name", ["gpt2", "llama"])
def test_rows_have_one_length_and_stay_under_growth(family_name: str) -> None:
    rows = []
    for particles in (20, 50):
        tokens = GraphTokens(2, particles)
        blueprint = make_blueprint(
            GraphShape(family_name, width=192, layers=2, heads=4, keys=8).config(tokens)
        )
        size = divide_graph(blueprint)
        left = torch.cos(torch.arange(tokens.vocabulary * size.predict) ** 1.5)
        left = left.view(tokens.vocabulary, -1)
        left /= left.norm(dim=1, keepdim=True)
        left[1] *= 1.5  # the longest in both, clipped in neither
        codes = LogBilinear(left, left, torch.zeros(tokens.vocabulary))
        stream = place_graph(codes, tokens, blueprint, 0)
        torch.testing.assert_close(
            stream.embed.norm(dim=1), torch.full((tokens.vocabulary,), 192**0.5), rtol=1e-5, atol=0
        )
        rows.append(stream)
    small = rows[0].embed
    torch.testing.assert_close(small, rows[1].embed[: len(small)])


def test_a_relation_map_finds_the_map_that_made_the_links() -> None:
    from structinit_core.graph import NO_NEURON, Names

    particles = 24
    subject = np.arange(particles, dtype=np.int32)
    object_ = ((subject + 5) % particles).astype(np.int32)
    graph = Graph(
        Names.of(f"p{i}" for i in range(particles)),
        Names.of(["five_on"]),
        Names.of([]),
        subject,
        np.zeros(particles, np.int32),
        object_,
        np.ones(particles),
        np.full(particles, NO_NEURON, np.int32),
        np.zeros(particles, np.int64),
    )
    tokens = GraphTokens(1, particles)
    identity = torch.zeros(tokens.vocabulary, particles)
    identity[tokens.first_particle :] = torch.eye(particles)
    codes = LogBilinear(identity, identity, torch.zeros(tokens.vocabulary))
    spread = spread_of(codes, tokens)
    there = np.argmax(relation_map(graph, 0, codes, tokens, spread, 0), axis=1)
    assert there.tolist() == object_.tolist()
    back = np.argmax(relation_map(graph, 1, codes, tokens, spread, 0), axis=1)
    assert back[object_].tolist() == subject.tolist()


def test_too_narrow_a_model_is_refused() -> None:
    tokens = GraphTokens(1, 10)
    shape = GraphShape("llama", width=32, layers=1, heads=4, keys=4)
    with pytest.raises(IncompatibleError, match="too small for a graph"):
        divide_graph(make_blueprint(shape.config(tokens)))


def test_identity_codes_differ_in_two_places_until_they_run_out() -> None:
    signs = distinct_signs(1 << 9, 10, 0)
    apart = (signs[:, None] != signs[None]).sum(axis=2)
    np.fill_diagonal(apart, 10)
    assert apart.min() == 2
    assert np.array_equal(distinct_signs(100, 10, 0), signs[:100])
    wide = distinct_signs(3000, 51, 0).astype(np.int32)
    products = (wide @ wide.T)[np.triu_indices(3000, 1)] / 51
    assert products.std() == pytest.approx(51**-0.5, rel=0.02)
    assert abs(products.mean()) < 0.01


def test_many_tokens_take_width_from_prediction_codes() -> None:
    sizes = []
    for particles in (1_000, 3_100_000):
        tokens = GraphTokens(12, particles)
        shape = GraphShape("gpt2", width=128, layers=4, heads=4, keys=16)
        sizes.append(divide_graph(make_blueprint(shape.config(tokens))))
    few, many = sizes
    assert many.own > np.log2(3_100_000) > few.own
    assert many.answer > few.answer
    assert many.predict < few.predict
