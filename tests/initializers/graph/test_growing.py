"""What growth relies on: draws by row that stay, and codes folded in from links alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from structinit_core.blueprint import make_blueprint
from structinit_core.graph import NO_NEURON, Graph, Names
from structinit_core.initializers.closed_form import LogBilinear
from structinit_core.initializers.graph import Answered, GraphShape, GraphTokens, Kept
from structinit_core.initializers.graph.changed import changed_keys
from structinit_core.initializers.graph.codes import factorised
from structinit_core.initializers.graph.fold_in import Codes, bounded, folded_in
from structinit_core.initializers.graph.layout import divide_graph, place_graph
from structinit_core.initializers.graph.memory import hub_signs, object_signs
from structinit_core.initializers.graph.tables import neighbours, next_tokens
from structinit_core.linalg import generator

NEW = 20


def communities(size: int) -> Graph:
    """Links from one community to the next; the last particles only touch earlier ones."""
    draw, earlier = generator(0, "communities"), size - NEW
    subject = np.concatenate(
        (np.repeat(np.arange(earlier), 6), np.repeat(np.arange(earlier, size), 6))
    )
    object_ = (subject % 8 + 1) % 8 + 8 * draw.integers(0, earlier // 8, len(subject))
    back = np.repeat(np.arange(earlier, size), 6)
    subject, object_ = (
        np.r_[subject, back % 8 + 8 * draw.integers(0, earlier // 8, len(back))],
        np.r_[object_, back],
    )
    links = np.unique(np.stack((subject, object_), axis=1), axis=0)
    count = len(links)
    return Graph(
        Names.of(f"p{row}" for row in range(size)),
        Names.of(["r"]),
        Names.of([]),
        links[:, 0].astype(np.int32),
        np.zeros(count, np.int32),
        links[:, 1].astype(np.int32),
        weight=np.ones(count),
        neuron=np.full(count, NO_NEURON, np.int32),
        height=np.zeros(count, np.int64),
    )


def test_more_particles_change_no_earlier_draw() -> None:
    few, more = GraphTokens(3, 50), GraphTokens(3, 90)
    shape = GraphShape("gpt2", width=192, layers=2, heads=4, keys=10)
    streams = []
    for tokens in (few, more):
        blueprint = make_blueprint(shape.config(tokens))
        sides = torch.ones(2, tokens.vocabulary, divide_graph(blueprint).predict)
        codes = LogBilinear(sides[0], sides[1], torch.zeros(tokens.vocabulary))
        streams.append(place_graph(codes, tokens, blueprint, seed=3))
    one, other = streams
    assert np.array_equal(one.identity, other.identity[: few.vocabulary])
    assert torch.equal(one.embed, other.embed[: few.vocabulary])
    assert np.array_equal(
        object_signs(np.arange(50), 43, 1), object_signs(np.arange(90), 43, 1)[:50]
    )
    assert np.array_equal(hub_signs(5, 43, 1), hub_signs(9, 43, 1)[:5])


def test_tokens_of_relations_know_their_relations() -> None:
    tokens = GraphTokens(5, 7)
    assert tokens.directed(tokens.relation(np.arange(10))).tolist() == list(range(10))


def _alike(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.cosine_similarity(one, other, dim=1).mean())


def test_a_row_that_was_factorised_is_folded_in_as_it_stands() -> None:
    graph = communities(400)
    tokens, focus = GraphTokens(1, 400), np.full(400, 1 / 400)
    codes, factor = factorised(next_tokens(graph, tokens, focus), 24, seed=0)
    left, right = codes.left.double().numpy(), codes.right.double().numpy()
    count = tokens.vocabulary - NEW
    earlier = Codes(
        count, lambda ids: left[ids], lambda ids: right[ids], factor.values.astype(float)
    )
    cells = neighbours(graph, tokens, focus)
    found = folded_in(cells, earlier, tokens, focus)
    assert _alike(found.left, codes.left[count:]) > 0.98
    assert _alike(found.right, codes.right[count:]) > 0.98
    lengths = found.left.norm(dim=1) / codes.left[count:].norm(dim=1)
    assert float((lengths - 1).abs().mean()) < 0.1
    torch.testing.assert_close(found.bias, codes.bias[count:])
    mean = folded_in(cells, earlier, tokens, focus, "neighbours")
    assert 0.5 < _alike(mean.left, codes.left[count:]) < _alike(found.left, codes.left[count:])


def test_codes_folded_in_are_no_longer_than_any_before() -> None:
    draw = np.random.default_rng(0)
    sides = torch.from_numpy(draw.normal(size=(2, 50, 6)).astype(np.float32)) * 40
    sides[:, 0] = 0.1
    few = np.zeros(0)
    none = Answered(1.0, few, few, few, few, few, few, few, few)
    maps = np.stack((3 * np.eye(8), np.diag(draw.normal(size=8))))
    kept = Kept(np.ones(6, np.float32), 1.0, 2.5, (0, 1), maps, none)
    found = bounded(LogBilinear(sides[0], sides[1], torch.zeros(50)), 4.0, kept)
    assert found.left.shape == (50, 8)
    assert float(found.left.norm(dim=1).max()) <= 4.0
    mapped = [float((found.left @ torch.from_numpy(m).float()).norm(dim=1).max()) for m in maps]
    assert max(mapped) == pytest.approx(2.0, rel=1e-5)
    assert float(found.right.norm(dim=1).max()) == pytest.approx(2.5, rel=1e-5)
    assert torch.equal(found.left[0, :6], sides[0, 0])
    assert torch.equal(found.right[0, :6], sides[1, 0])


def test_a_key_that_makes_room_is_not_answered_again() -> None:
    links = np.array([[0, 1], [2, 3], [0, 4], [5, 1]], np.int32)
    graph = Graph(
        Names.of(f"p{row}" for row in range(6)),
        Names.of(["r"]),
        Names.of([]),
        links[:, 0],
        np.zeros(4, np.int32),
        links[:, 1],
        weight=np.ones(4),
        neuron=np.full(4, NO_NEURON, np.int32),
        height=np.zeros(4, np.int64),
    )
    # Four keys of the first two links fill all units; the least valuable one asks for 1 and 4.
    asked, none = np.array([[0, 0], [1, 1], [2, 0], [3, 1]]), np.zeros(4, np.int32)
    units = np.arange(4, dtype=np.int32)
    answered = Answered(
        1.0, np.eye(1), np.zeros(2), asked[:, 0], asked[:, 1], none, units, none - 1, none
    )
    earlier = SimpleNamespace(
        blueprint=SimpleNamespace(feed_forward=4, layers=1), kept=SimpleNamespace(answered=answered)
    )
    found = changed_keys(graph, np.ones(2), np.array([0.1, 1.0, 0.1, 10.0]), earlier)
    assert found.query.tolist() == [1 * 2 + 1, 5 * 2 + 0]
    assert found.unit.tolist() == [1, 0]
    assert found.same.tolist() == [True, False]
    assert found.objects.toarray().tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0]]
