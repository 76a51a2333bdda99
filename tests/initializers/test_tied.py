"""One table that is embedding and head: the first feed-forward moves what the head reads."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from structinit_core.blueprint import Blueprint, Kind, Norm, Role, make_blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.lift import (
    LinearMap,
    at_norm,
    lift_units,
    units_needed,
)
from structinit_core.initializers.closed_form.parts import (
    ACTIVATIONS,
    Units,
    Weights,
    write_units,
)
from structinit_core.initializers.closed_form.tied import place_tied, tied_reads
from structinit_core.linalg import generator

SIZES = {"vocab_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"hidden_size": 64, "intermediate_size": 256, "max_position_embeddings": 64}
CONFIGS = {
    "gpt2": {"model_type": "gpt2", **SIZES, "n_inner": 256},
    "llama": {"model_type": "llama", **SIZES, "tie_word_embeddings": True},
    "gpt_neox": {"model_type": "gpt_neox", **SIZES, "tie_word_embeddings": True},
}


@pytest.fixture
def codes(codes: LogBilinear) -> LogBilinear:
    """Of a rank that fits the narrowest of the divisions."""
    return LogBilinear(codes.left[:, :20], codes.right[:, :20], codes.bias)


@pytest.fixture(params=CONFIGS)
def blueprint(request: pytest.FixtureRequest) -> Blueprint:
    config = CONFIGS[request.param]
    if request.param == "gpt2":
        config = {key: value for key, value in config.items() if key != "intermediate_size"}
    return make_blueprint(config)


def normalised(rows: torch.Tensor, blueprint: Blueprint) -> torch.Tensor:
    norm = torch.nn.functional.layer_norm
    if blueprint.norm is Norm.RMS:
        norm = torch.nn.functional.rms_norm
    return norm(rows, rows.shape[-1:], eps=blueprint.norm_epsilon)


def feed_forward(units: Units, blueprint: Blueprint, rows: torch.Tensor) -> torch.Tensor:
    """What the units add to the rows."""
    up, down = units.up.double(), units.down.double()
    activate = ACTIVATIONS[blueprint.activation]
    inputs = normalised(rows, blueprint)
    hidden = inputs @ up.T
    if units.gate is None:
        hidden = activate(hidden)
    else:
        hidden *= activate(inputs @ units.gate.double().T)
    return hidden @ down.T


def test_the_head_reads_the_predictor(codes: LogBilinear, blueprint: Blueprint) -> None:
    stream = place_tied(codes, blueprint, seed=0)
    assert stream.head is None
    rows = stream.embed.double()[None]
    if stream.position is not None:
        rows = rows + stream.position.double()[[0, 17, 63]][:, None]
    rows = rows + feed_forward(stream.units[0], blueprint, rows)
    hidden = normalised(rows, blueprint)
    if stream.final_bias is not None:
        hidden = hidden + stream.final_bias.double()
    found = torch.log_softmax(hidden @ stream.embed.double().T, dim=-1)
    expected = torch.log_softmax(stream.predictor.logits(torch.arange(512)), dim=1).double()
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-3, rtol=1e-3)


def test_rows_have_one_length(codes: LogBilinear, blueprint: Blueprint) -> None:
    lengths = place_tied(codes, blueprint, seed=0).embed.double().norm(dim=1)
    torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths))
    assert float(lengths[0]) >= math.sqrt(blueprint.width) - 1e-4


def test_large_logits_stretch_the_rows(codes: LogBilinear, blueprint: Blueprint) -> None:
    louder = LogBilinear(codes.left * 4, codes.right * 4, codes.bias)
    quiet, loud = (place_tied(c, blueprint, seed=0).embed for c in (codes, louder))
    assert float(loud[0].norm()) > 1.5 * float(quiet[0].norm())


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_map_is_exact_for_every_activation(blueprint: Blueprint, activation: str) -> None:
    draw = generator(1, activation)
    basis = torch.linalg.qr(torch.from_numpy(draw.standard_normal((64, 64))))[0].numpy()
    blueprint = dataclasses.replace(blueprint, activation=activation, norm=Norm.RMS)
    level = 3.0
    lift = LinearMap(basis[:, :20], draw.standard_normal((64, 20)), 1.0, basis[:, 20], level)
    rows = torch.from_numpy(draw.standard_normal((9, 64)) @ basis[:, 21:].dot(basis[:, 21:].T))
    rows += torch.from_numpy(draw.standard_normal((9, 20)) @ basis[:, :20].T)
    rows += level * torch.from_numpy(basis[:, 20])
    factor = 1 / (rows.square().mean(dim=1) + blueprint.norm_epsilon).sqrt()
    for row, shrink in zip(rows, factor.tolist(), strict=True):
        exact = dataclasses.replace(lift, shrink=shrink)
        added = feed_forward(lift_units(exact, blueprint), blueprint, row[None])[0]
        expected = torch.from_numpy(lift.write) @ (torch.from_numpy(lift.read).T @ row)
        torch.testing.assert_close(added, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("activation", ["silu", "gelu", "quick_gelu"])
@pytest.mark.parametrize("kappa", [0.9, 1.1])
def test_behind_a_gate_the_map_hardly_sees_the_norm(activation: str, kappa: float) -> None:
    """What heads add changes the norm by κ; the units add the map of the stream all the same."""
    gated = make_blueprint(CONFIGS["llama"])
    blueprint = dataclasses.replace(gated, activation=activation)
    draw = generator(1, activation)
    basis = torch.linalg.qr(torch.from_numpy(draw.standard_normal((64, 64))))[0].numpy()
    row = torch.from_numpy(draw.standard_normal(20) @ basis[:, :20].T + 3 * basis[:, 20])
    shrink = float(1 / (row.square().mean() + blueprint.norm_epsilon).sqrt())
    lift = LinearMap(basis[:, :20], -basis[:, :20], shrink / kappa, basis[:, 20], 3.0)
    units = lift_units(lift, blueprint)
    added = feed_forward(units, blueprint, row[None])[0]
    left = (row + added).double().numpy() @ basis[:, :20]
    before = row.numpy() @ basis[:, :20]
    assert float((left**2).mean()) < 0.02**2 * float((before**2).mean())
    steady = feed_forward(at_norm(units, kappa), blueprint, row[None])[0]
    left = (row + steady).double().numpy() @ basis[:, :20]
    assert float((left**2).mean()) < 1e-4**2 * float((before**2).mean())


def test_identity_codes_lie_in_rows_of_one_length_and_are_erased(
    codes: LogBilinear, blueprint: Blueprint
) -> None:
    draw = torch.Generator().manual_seed(0)
    identity = 0.1 * torch.randn(512, 6, generator=draw)
    stream = place_tied(codes, blueprint, 0, identity)
    rows = stream.embed.double()[None]
    if stream.position is not None:
        rows = rows + stream.position.double()[[0, 17, 63]][:, None]
    lengths = rows.norm(dim=-1)
    torch.testing.assert_close(lengths, lengths[:1, :1].expand_as(lengths))
    into = torch.from_numpy(stream.coordinates.identity)
    torch.testing.assert_close(
        rows[0] @ into, stream.coordinates.scale * identity.double(), atol=1e-4, rtol=1e-4
    )
    rows = rows + feed_forward(stream.units[0], blueprint, rows)
    assert float((rows @ into).abs().max()) < 1e-4


def test_the_other_units_keep_their_fill(codes: LogBilinear, blueprint: Blueprint) -> None:
    (units,) = place_tied(codes, blueprint, seed=0).units
    weights = Weights(blueprint, seed=0)
    write_units((units,), weights)
    down = weights.parts[Role.MLP_DOWN, Kind.WEIGHT, 0]
    used = len(units.up)
    assert torch.equal(down[:, :used], units.down)
    assert 0 < float(down[:, used:].abs().max()) < 0.01


def test_a_narrow_feed_forward_is_refused_with_the_width_it_needs(
    codes: LogBilinear, blueprint: Blueprint
) -> None:
    needed = units_needed(tied_reads(blueprint), blueprint.gated)
    narrow = dataclasses.replace(blueprint, feed_forward=needed - 1)
    with pytest.raises(IncompatibleError, match=f"needs {needed} feed-forward units"):
        place_tied(codes, narrow, seed=0)
