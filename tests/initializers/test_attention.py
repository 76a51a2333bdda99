"""Heads that read older tokens, written into every kind of attention."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

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
from structinit_core.initializers.closed_form.tied import place_tied
from structinit_core.initializers.fill import filled
from structinit_core.model import read_wiring

CONFIG = Path(__file__).parents[2] / "fixtures" / "configs" / "gpt2-d64-l2.json"
CONTEXT = 64
SIZES = {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY = SIZES | {"intermediate_size": 256, "max_position_embeddings": CONTEXT}
LLAMA = ROTARY | {"model_type": "llama"}
NEOX = ROTARY | {"model_type": "gpt_neox", "rotary_pct": 1.0}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": read_config(CONFIG),
    "gpt2, narrow heads": read_config(CONFIG) | {"n_head": 8},
    "llama": LLAMA,
    "llama, grouped": LLAMA | {"num_key_value_heads": 2},
    "llama, tied": LLAMA | {"tie_word_embeddings": True},
    "mistral, sliding": LLAMA
    | {"model_type": "mistral", "num_key_value_heads": 4, "sliding_window": 9},
    "qwen2": LLAMA | {"model_type": "qwen2", "num_key_value_heads": 4},
    "qwen3": LLAMA | {"model_type": "qwen3", "num_key_value_heads": 4, "head_dim": 32},
    "gpt_neox": NEOX,
    "gpt_neox, tied": NEOX | {"tie_word_embeddings": True},
    "gpt_neox, unbiased": NEOX | {"attention_bias": False},
}


@pytest.fixture
def blueprint() -> Blueprint:
    return make_blueprint(read_config(CONFIG))


@pytest.fixture
def offsets(codes: LogBilinear, blueprint: Blueprint) -> OffsetModel:
    return random_offsets(codes, blueprint, lags=(2,))


def random_offsets(codes: LogBilinear, blueprint: Blueprint, lags: tuple[int, ...]) -> OffsetModel:
    """Random maps that all heads share the first of, and the codes cut to fit."""
    draw = torch.Generator().manual_seed(0)
    rank, tokens = min(20, codes.left.shape[1]), len(codes.bias)
    identity, size = divide(blueprint).identity - 2, blueprint.head_width
    return OffsetModel(
        LogBilinear(codes.left[:, :rank], codes.right[:, :rank], codes.bias),
        0.1 * torch.randn(tokens, identity, generator=draw),
        lags,
        (0.1 * torch.randn(size, rank + identity, generator=draw),),
        tuple(0.1 * torch.randn(rank, size, generator=draw) for _ in lags),
    )


def placed(model: OffsetModel, blueprint: Blueprint) -> Network:
    wiring = read_wiring(blueprint)
    write = place_tied if blueprint.tied else place
    stream = write(model.codes, blueprint, 0, model.identity)
    heads = lag_heads(model, stream, blueprint, wiring)
    return Network(dataclasses.replace(stream, heads=heads), blueprint, wiring)


def normed(network: Network, ids: torch.Tensor) -> torch.Tensor:
    """What the first layer's heads take in of one text: (1, T, d)."""
    hidden = network.stream.embed[ids]
    if network.stream.position is not None:
        hidden = hidden + network.stream.position[: len(ids)]
    return network.normalised(hidden)[None]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("lag", [1, 2, 3])
def test_a_head_looks_its_lag_back(codes: LogBilinear, name: str, lag: int) -> None:
    blueprint = make_blueprint(CONFIGS[name])
    network = placed(random_offsets(codes, blueprint, (lag,)), blueprint)
    tokens = torch.arange(CONTEXT) * 7 % 512
    attention = torch.softmax(network.scores(network.stream.heads[0], normed(network, tokens)), 2)
    least = 0.75 if name == "gpt2, narrow heads" else 0.89  # few frequencies, bounded scores
    assert float(torch.diagonal(attention[0], -lag).min()) > least
    rotary = not blueprint.learned_positions
    assert not rotary or torch.allclose(
        attention[0, 10, 10 - lag], attention[0, 9, 9 - lag], atol=0.02
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_head_adds_what_the_model_says_of_the_token_it_looks_at(
    codes: LogBilinear, name: str
) -> None:
    blueprint = make_blueprint(CONFIGS[name])
    model = random_offsets(codes, blueprint, (2,))
    network = placed(model, blueprint)
    tokens = torch.arange(CONTEXT) * 7 % 512
    text = normed(network, tokens)
    attention = torch.softmax(network.scores(network.stream.heads[0], text), 2)[0]
    at = network.stream.coordinates
    added = network.attended(list(network.stream.heads), text)[0].double().numpy()
    (codes_added,) = model.additions()
    expected = at.scale * (attention @ codes_added[tokens]).double().numpy()
    deviation = added @ at.prediction - expected
    assert np.sqrt((deviation**2).mean()) < 0.05 * np.sqrt((expected**2).mean())
    others = np.concatenate((at.carrier, at.filler, at.identity), axis=1)
    assert np.abs(added @ others).max() < 1e-3


def test_heads_of_a_group_share_keys_and_values_and_look_at_lags_of_their_own(
    codes: LogBilinear,
) -> None:
    blueprint = make_blueprint(CONFIGS["llama, grouped"])
    first = random_offsets(codes, blueprint, (1, 3, 2, 1))
    model = dataclasses.replace(first, read=(first.read[0], 2 * first.read[0]))
    heads = placed(model, blueprint).stream.heads
    assert [head.index for head in heads] == [0, 1, 2, 3]
    assert torch.equal(heads[0].value, heads[1].value)
    assert not torch.equal(heads[1].value, heads[2].value)
    assert all(torch.equal(heads[0].key, head.key) for head in heads)
    assert not torch.equal(heads[0].query, heads[1].query)
    alone = placed(dataclasses.replace(model, lags=(1, 2), write=model.write[:2]), blueprint)
    assert [head.index for head in alone.stream.heads] == [0, 2]  # one in each group


def test_gains_for_some_heads_leave_the_scores_of_the_fill(codes: LogBilinear) -> None:
    """Queries and keys of heads that are fill keep about the size and direction they had."""
    blueprint = make_blueprint(CONFIGS["qwen3"])
    network = placed(random_offsets(codes, blueprint, (1,)), blueprint)
    (head,) = network.stream.heads
    assert float(head.query_gain.max()) > 1.2
    weights = Weights(blueprint, seed=0)
    write_heads((head,), weights)
    text, size = normed(network, torch.arange(CONTEXT) * 7 % 512), blueprint.head_width
    scores = []
    for heads, gain in ((weights, head.query_gain), (Weights(blueprint, seed=0), None)):
        query, key = (heads.weight(role, 0)[size : 2 * size] for role in (Role.ATTN_Q, Role.ATTN_K))
        fill = dataclasses.replace(head, query=query, key=key, query_gain=gain, key_gain=gain)
        scores.append(network.scores(fill, text)[0].tril())
    norm = [float(each.norm()) for each in scores]
    assert norm[0] == pytest.approx(norm[1], rel=0.1)
    assert float((scores[0] * scores[1]).sum()) > 0.97 * norm[0] * norm[1]


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
