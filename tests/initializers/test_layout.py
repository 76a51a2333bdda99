from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from structinit_core.blueprint import Blueprint, make_blueprint, read_config
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import Stream, divide, place


@pytest.fixture
def blueprint(tiny_config) -> Blueprint:
    return make_blueprint(read_config(tiny_config))


@pytest.fixture
def stream(codes: LogBilinear, blueprint: Blueprint) -> Stream:
    return place(codes, blueprint, seed=0)


def normalised(rows: torch.Tensor, blueprint: Blueprint) -> torch.Tensor:
    return torch.nn.functional.layer_norm(rows, rows.shape[-1:], eps=blueprint.norm_epsilon)


def test_stream_has_rms_one_and_no_mean(stream: Stream, blueprint: Blueprint) -> None:
    lengths = stream.embed.double().norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, math.sqrt(blueprint.width)))
    assert float(stream.embed.double().mean(dim=1).abs().max()) < 1e-6
    assert float(stream.position.double().mean(dim=1).abs().max()) < 1e-6


def test_positions_have_one_length_and_dimensions_of_their_own(stream: Stream) -> None:
    lengths = stream.position.norm(dim=1)
    torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths))
    assert float((stream.position @ stream.embed.T).abs().max()) < 1e-3
    assert float((stream.position @ stream.head.T).abs().max()) < 1e-3
    neighbours = torch.nn.functional.cosine_similarity(stream.position[1:], stream.position[:-1])
    assert float(neighbours.max()) < 0.95


def test_layer_norm_is_one_constant_everywhere(stream: Stream, blueprint: Blueprint) -> None:
    rows = stream.embed[:, None] + stream.position[None, ::7]
    factors = normalised(rows, blueprint).norm(dim=-1) / rows.norm(dim=-1)
    torch.testing.assert_close(factors, factors[:1, :1].expand_as(factors), atol=1e-6, rtol=1e-5)


def test_logits_are_the_predictors_at_every_position(stream: Stream, blueprint: Blueprint) -> None:
    tokens = torch.arange(blueprint.vocabulary)
    expected = torch.log_softmax(stream.predictor.logits(tokens), dim=1)
    for position in (0, 1, blueprint.context - 1):
        hidden = normalised(stream.embed + stream.position[position], blueprint)
        logits = (hidden + stream.final_bias) @ stream.head.T
        torch.testing.assert_close(torch.log_softmax(logits, dim=1), expected, atol=2e-4, rtol=1e-4)


def test_bias_direction_is_empty_in_the_stream(stream: Stream) -> None:
    assert float((stream.embed @ stream.final_bias).abs().max()) < 1e-3
    assert float((stream.position @ stream.final_bias).abs().max()) < 1e-3


def test_identity_codes_tell_tokens_apart(stream: Stream) -> None:
    unit = torch.nn.functional.normalize(stream.embed, dim=1)
    cosine = unit @ unit.T - torch.eye(len(unit))
    assert float(cosine.max()) < 0.99
    assert float(cosine.mean().abs()) < 0.2


def test_long_rows_are_clipped_in_the_predictor_too(
    codes: LogBilinear, blueprint: Blueprint
) -> None:
    left = codes.left.clone()
    left[3] *= 100
    placed = place(LogBilinear(left, codes.right, codes.bias), blueprint, seed=0)
    assert placed.clipped_rows >= 1
    lengths = placed.predictor.left.norm(dim=1)
    assert float(lengths[3]) < float(left[3].norm()) / 10
    torch.testing.assert_close(
        placed.predictor.left[3] / lengths[3], left[3] / left[3].norm(), atol=1e-5, rtol=1e-4
    )


def test_padding_rows_are_improbable(codes: LogBilinear, blueprint: Blueprint) -> None:
    wider = dataclasses.replace(blueprint, vocabulary=blueprint.vocabulary + 5)
    stream = place(codes, wider, seed=0)
    hidden = normalised(stream.embed + stream.position[0], wider) + stream.final_bias
    probability = torch.softmax(hidden @ stream.head.T, dim=1)
    assert float(probability[:, -5:].max()) < 1e-5


def test_seed_rotates_and_keeps_the_predictions(codes: LogBilinear, blueprint: Blueprint) -> None:
    one, other = (place(codes, blueprint, seed) for seed in (0, 1))
    assert not torch.allclose(one.embed, other.embed)
    assert torch.equal(one.predictor.left, other.predictor.left)


@pytest.mark.parametrize("width", [16, 32, 64, 100, 128, 768, 4096])
def test_divisions_add_up(width: int) -> None:
    parts = divide(width)
    assert parts.prediction + parts.identity + parts.positions + 2 == width
    assert parts.identity >= 2


def test_a_width_without_room_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="width 8"):
        divide(8)
