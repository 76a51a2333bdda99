from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from structinit_core.blueprint import Blueprint, Norm, make_blueprint, read_config
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import (
    FILLER_DIMENSIONS,
    Stream,
    divide,
    place,
)

ROOT = Path(__file__).parents[2]
SIZES = {"vocab_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
ROTARY = SIZES | {"hidden_size": 64, "intermediate_size": 256, "max_position_embeddings": 64}
CONFIGS = {
    "gpt2": read_config(ROOT / "fixtures" / "configs" / "gpt2-d64-l2.json"),
    "llama": ROTARY | {"model_type": "llama", "num_key_value_heads": 1},
    "gpt_neox": ROTARY | {"model_type": "gpt_neox"},
}


@pytest.fixture(params=CONFIGS)
def blueprint(request: pytest.FixtureRequest) -> Blueprint:
    """LayerNorm with learned positions, RMSNorm, and LayerNorm with rotary positions."""
    return make_blueprint(CONFIGS[request.param])


@pytest.fixture
def stream(codes: LogBilinear, blueprint: Blueprint) -> Stream:
    return place(codes, blueprint, seed=0)


def normalised(rows: torch.Tensor, blueprint: Blueprint) -> torch.Tensor:
    """The model's own norm with gain 1, before its bias."""
    norm = torch.nn.functional.layer_norm
    if blueprint.norm is Norm.RMS:
        norm = torch.nn.functional.rms_norm
    return norm(rows, rows.shape[-1:], eps=blueprint.norm_epsilon)


def at_positions(rows: torch.Tensor, stream: Stream) -> torch.Tensor:
    """Rows at a few positions: (positions, V, d); one where positions are rotary."""
    if stream.position is None:
        return rows[None]
    return rows[None] + stream.position[[0, 1, 30, 63]][:, None]


def logits(rows: torch.Tensor, stream: Stream, blueprint: Blueprint) -> torch.Tensor:
    hidden = normalised(rows, blueprint)
    if stream.final_bias is not None:
        hidden = hidden + stream.final_bias
    return hidden @ (stream.embed if stream.head is None else stream.head).T


def assert_predicts(stream: Stream, blueprint: Blueprint, rows: torch.Tensor) -> None:
    expected = torch.log_softmax(stream.predictor.logits(torch.arange(512)), dim=1)
    found = torch.log_softmax(logits(rows, stream, blueprint)[..., :512], dim=-1)
    torch.testing.assert_close(found, expected.expand_as(found), atol=3e-4, rtol=1e-4)


def test_stream_has_rms_one(stream: Stream, blueprint: Blueprint) -> None:
    lengths = stream.embed.double().norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, math.sqrt(blueprint.width)))


def test_layer_norm_finds_no_mean(stream: Stream, blueprint: Blueprint) -> None:
    if blueprint.norm is Norm.RMS:
        pytest.skip("RMSNorm takes no mean out")
    assert float(at_positions(stream.embed, stream).double().mean(dim=-1).abs().max()) < 1e-6


def test_positions_have_one_length_and_dimensions_of_their_own(
    stream: Stream, blueprint: Blueprint
) -> None:
    if not blueprint.learned_positions:
        assert stream.position is None
        return
    lengths = stream.position.norm(dim=1)
    torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths))
    assert float((stream.position @ stream.embed.T).abs().max()) < 1e-3
    assert float((stream.position @ stream.head.T).abs().max()) < 1e-3
    neighbours = torch.nn.functional.cosine_similarity(stream.position[1:], stream.position[:-1])
    assert float(neighbours.max()) < 0.95


def test_the_norm_is_one_constant_everywhere(stream: Stream, blueprint: Blueprint) -> None:
    rows = at_positions(stream.embed, stream)
    factors = normalised(rows, blueprint).norm(dim=-1) / rows.norm(dim=-1)
    torch.testing.assert_close(factors, factors[:1, :1].expand_as(factors), atol=1e-6, rtol=1e-5)


def test_logits_are_the_predictors_at_every_position(stream: Stream, blueprint: Blueprint) -> None:
    assert_predicts(stream, blueprint, at_positions(stream.embed, stream))


def test_the_bias_has_a_carrier_of_its_own(stream: Stream, blueprint: Blueprint) -> None:
    """Under LayerNorm the stream leaves it empty; under RMSNorm all tokens agree on it."""
    if stream.final_bias is not None:
        assert float((at_positions(stream.embed, stream) @ stream.final_bias).abs().max()) < 1e-3
        return
    common = stream.embed.mean(dim=0)
    along = stream.embed @ common / common.norm()
    assert float(along.min()) > 0.25 * math.sqrt(blueprint.width)


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
    wider = dataclasses.replace(blueprint, vocabulary=blueprint.vocabulary + 300)
    stream = place(codes, wider, seed=0)
    probability = torch.softmax(logits(at_positions(stream.embed, stream), stream, wider), dim=-1)
    assert float(probability[..., 512:].sum(dim=-1).max()) < 1e-5


def test_seed_rotates_and_keeps_the_predictions(codes: LogBilinear, blueprint: Blueprint) -> None:
    one, other = (place(codes, blueprint, seed) for seed in (0, 1))
    assert not torch.allclose(one.embed, other.embed)
    assert torch.equal(one.predictor.left, other.predictor.left)


@pytest.mark.parametrize("width", [32, 64, 100, 128, 768, 4096])
@pytest.mark.parametrize("tied", [False, True])
def test_divisions_fit_the_width(blueprint: Blueprint, width: int, tied: bool) -> None:
    parts = divide(dataclasses.replace(blueprint, width=width, tied=tied))
    lost = 1 if blueprint.norm is Norm.LAYER else 0
    if tied:
        fillers = parts.identity + 2 * FILLER_DIMENSIONS
        used = 2 * parts.prediction + fillers + parts.positions + 2 + lost
        assert width - 1 <= used <= width
    else:
        assert parts.prediction + parts.identity + parts.positions + 1 + lost == width
    assert parts.identity >= 2


def test_a_width_without_room_is_refused(blueprint: Blueprint) -> None:
    with pytest.raises(IncompatibleError, match="width 4"):
        divide(dataclasses.replace(blueprint, width=4))
