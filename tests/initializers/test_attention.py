from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Blueprint, Kind, Role, make_blueprint, read_config
from structinit_core.initializers.closed_form.attention import (
    attention,
    frequencies,
    side_lobe,
    turned,
)
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.layout import divide, place
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.fill import filled

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


def test_the_search_beats_a_geometric_series() -> None:
    geometric = (2 * np.pi / 128) ** (np.arange(8) / 7)
    assert side_lobe(frequencies(8, 128, 0), 128) < side_lobe(geometric, 128) - 0.2


@pytest.mark.parametrize("lag", [1, 3])
def test_the_head_looks_where_it_should(lag: int) -> None:
    mass = attention(lag, frequencies(8, 128, 0), 128, 128)
    assert np.allclose(mass.sum(axis=1), 1)
    assert np.array_equal(mass, np.tril(mass))
    assert float(mass[np.arange(lag, 128), np.arange(128 - lag)].min()) > 0.9


def test_a_turned_position_reads_as_an_earlier_one() -> None:
    waves = frequencies(4, CONTEXT, 0)
    angles = np.outer(np.arange(CONTEXT), waves)
    codes = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    assert np.allclose((codes @ turned(np.eye(8), waves, 3))[3:], codes[:-3])


def test_written_scores_give_the_promised_attention(
    offsets: OffsetModel, blueprint: Blueprint
) -> None:
    stream = place(offsets, blueprint, seed=0)
    assert stream.heads is not None
    tensors = stream.heads.tensors(blueprint, seed=0)
    tokens = torch.arange(CONTEXT) * 7 % 512
    hidden = torch.nn.functional.layer_norm(
        stream.embed[tokens] + stream.position[:CONTEXT], (blueprint.width,), eps=1e-5
    )
    width = blueprint.head_width
    query, key = (
        hidden @ tensors[role, Kind.WEIGHT, 0][:width].T for role in (Role.ATTN_Q, Role.ATTN_K)
    )
    scores = query @ key.T / math.sqrt(width)
    mass = torch.softmax(scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -math.inf), dim=1)
    promised = attention(2, stream.heads.frequencies, CONTEXT, blueprint.context)
    torch.testing.assert_close(mass.double(), torch.from_numpy(promised), atol=1e-4, rtol=1e-3)


def test_a_head_adds_what_the_model_says(offsets: OffsetModel, blueprint: Blueprint) -> None:
    stream = place(offsets, blueprint, seed=0)
    assert stream.heads is not None
    tensors, width = stream.heads.tensors(blueprint, seed=0), blueprint.head_width
    hidden = torch.nn.functional.layer_norm(stream.embed, (blueprint.width,), eps=1e-5)
    shrink = (1 + 0.15 + 1e-5) ** -0.5  # what the norm does once a position is added
    value = shrink * hidden @ tensors[Role.ATTN_V, Kind.WEIGHT, 0][:width].T
    added = value @ tensors[Role.ATTN_OUT, Kind.WEIGHT, 0][:, :width].T
    logits = shrink * added @ stream.head.T
    (codes,) = stream.predictor.model.additions()
    torch.testing.assert_close(logits, codes @ offsets.codes.right.T, atol=2e-3, rtol=1e-2)


def test_other_heads_keep_their_fill(offsets: OffsetModel, blueprint: Blueprint) -> None:
    stream = place(offsets, blueprint, seed=0)
    assert stream.heads is not None
    part = stream.heads.tensors(blueprint, seed=0)[Role.ATTN_V, Kind.WEIGHT, 0]
    width = blueprint.head_width
    assert torch.equal(part[width:], filled(blueprint, Role.ATTN_V, 0)[width:])
    assert not torch.equal(part[:width], filled(blueprint, Role.ATTN_V, 0)[:width])
