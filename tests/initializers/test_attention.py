from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Blueprint, Kind, Role, make_blueprint, read_config
from structinit_core.initializers.closed_form.attention import lag_heads
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import divide, place
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.parts import Weights, write_heads
from structinit_core.initializers.closed_form.positions import frequencies, side_lobe, turned
from structinit_core.initializers.fill import filled
from structinit_core.model import read_wiring

CONFIG = Path(__file__).parents[2] / "fixtures" / "configs" / "gpt2-d64-l2.json"
CONTEXT = 64


@pytest.fixture
def blueprint() -> Blueprint:
    return make_blueprint(read_config(CONFIG))


@pytest.fixture
def offsets(codes: LogBilinear, blueprint: Blueprint) -> OffsetModel:
    """Random maps for one head, at lag 2."""
    draw = torch.Generator().manual_seed(0)
    rank, tokens = codes.left.shape[1], len(codes.bias)
    identity = divide(blueprint).identity - 2
    return OffsetModel(
        codes,
        torch.randn(tokens, identity, generator=draw),
        (2,),
        (0.1 * torch.randn(blueprint.head_width, rank + identity, generator=draw),),
        (0.1 * torch.randn(rank, blueprint.head_width, generator=draw),),
    )


def placed(model: OffsetModel, blueprint: Blueprint) -> Network:
    wiring = read_wiring(blueprint)
    stream = place(model.codes, blueprint, 0, model.identity)
    heads = lag_heads(model, stream, blueprint, wiring.scales[0])
    return Network(dataclasses.replace(stream, heads=heads), blueprint, wiring)


def test_the_search_beats_a_geometric_series() -> None:
    geometric = (2 * np.pi / 128) ** (np.arange(8) / 7)
    assert side_lobe(frequencies(8, 128, 0), 128) < side_lobe(geometric, 128) - 0.2


def test_a_turned_position_reads_as_an_earlier_one() -> None:
    waves = frequencies(4, CONTEXT, 0)
    angles = np.outer(np.arange(CONTEXT), waves)
    codes = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    assert np.allclose((codes @ turned(np.eye(8), waves, 3))[3:], codes[:-3])


def attended(network: Network, ids: torch.Tensor) -> torch.Tensor:
    """What the first layer's heads add to the stream of one text: (T, d)."""
    hidden = network.stream.embed[ids] + network.stream.position[: len(ids)]
    return network.attended(list(network.stream.heads), network.normalised(hidden)[None])[0]


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_head_adds_what_the_model_says_of_the_token_its_lag_back(
    offsets: OffsetModel, blueprint: Blueprint, lag: int
) -> None:
    model = dataclasses.replace(offsets, lags=(lag,))
    network = placed(model, blueprint)
    tokens = torch.arange(CONTEXT) * 7 % 512
    read = (attended(network, tokens) @ network.stream.head.T)[lag:]
    (codes,) = model.additions()
    shrink = network.stream.coordinates.shrink
    expected = (codes @ model.codes.right.T)[tokens[:-lag]] / shrink
    deviation = (read - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert float(deviation) < 0.1  # a tenth of the attention may go elsewhere
    assert float((attended(network, tokens) @ network.stream.carrier).abs().max()) < 1e-3


def test_the_written_heads_are_what_the_network_runs(
    offsets: OffsetModel, blueprint: Blueprint
) -> None:
    network = placed(offsets, blueprint)
    weights = Weights(blueprint, seed=0)
    write_heads(network.stream.heads, weights)
    width, (head,) = blueprint.head_width, network.stream.heads
    for role in (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V):
        part, spare = weights.parts[role, Kind.WEIGHT, 0], filled(blueprint, role, 0, 0)
        assert torch.equal(part[width:], spare[width:])
        assert not torch.equal(part[:width], spare[:width])
    assert torch.equal(weights.parts[Role.ATTN_OUT, Kind.WEIGHT, 0][:, :width], head.output)
