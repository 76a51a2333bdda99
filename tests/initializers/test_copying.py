from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Blueprint, make_blueprint
from structinit_core.cooc import Counts
from structinit_core.corpus import TokenStream, cut_windows
from structinit_core.initializers.closed_form.attention import lag_heads
from structinit_core.initializers.closed_form.codes import LogBilinear
from structinit_core.initializers.closed_form.copy_votes import predicted_votes
from structinit_core.initializers.closed_form.copying import copy_obstacle, place_copy
from structinit_core.initializers.closed_form.layout import divide, place
from structinit_core.initializers.closed_form.network import Network
from structinit_core.initializers.closed_form.offsets import OffsetModel
from structinit_core.initializers.closed_form.room import with_buffer
from structinit_core.initializers.closed_form.tied import place_codes
from structinit_core.model import induction_score, read_wiring, repeated_sequences

SIZES = {"vocab_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY = SIZES | {"hidden_size": 192, "intermediate_size": 384, "max_position_embeddings": 64}
LEARNED = SIZES | {"hidden_size": 128, "max_position_embeddings": 64, "tie_word_embeddings": False}
CONFIGS = {
    "gpt2": LEARNED | {"model_type": "gpt2"},
    "llama": ROTARY | {"model_type": "llama", "num_key_value_heads": 2},
    "gpt_neox": ROTARY | {"model_type": "gpt_neox"},
    "qwen3": ROTARY | {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 48},
}
TIED = {"tie_word_embeddings": True, "intermediate_size": 768}
TIED_CONFIGS = {
    "gpt2": LEARNED | {"model_type": "gpt2", "tie_word_embeddings": True},
    "llama": CONFIGS["llama"] | TIED,
    "gpt_neox": CONFIGS["gpt_neox"] | TIED | {"num_hidden_layers": 3},
    "qwen3": CONFIGS["qwen3"] | TIED,
}


@pytest.fixture(params=CONFIGS)
def bigram(request: pytest.FixtureRequest, codes: LogBilinear) -> Network:
    blueprint = make_blueprint(CONFIGS[request.param])
    return Network(place(codes, blueprint, 0), blueprint, read_wiring(blueprint))


@pytest.fixture
def mass(counts: Counts) -> np.ndarray:
    return counts.unigram / counts.unigram.sum()


@pytest.fixture(params=TIED_CONFIGS)
def tied(request: pytest.FixtureRequest, codes: LogBilinear) -> Network:
    blueprint = make_blueprint(TIED_CONFIGS[request.param])
    wiring = read_wiring(blueprint)
    return Network(place_codes(codes, blueprint, wiring, 0), blueprint, wiring)


Text = tuple[TokenStream, np.ndarray]


@pytest.fixture
def repeats(counts: Counts) -> Text:
    """Held-out windows whose second half repeats the first."""
    windows = cut_windows(counts.held_out_spans, 32)
    starts = windows[windows[:, 1] - windows[:, 0] == 32][:16, 0]
    ids = counts.held_out.ids[starts[:, None] + np.tile(np.arange(32), 2)].ravel()
    edges = np.arange(0, len(ids) + 1, 64)
    return TokenStream(ids, edges), np.stack((edges[:-1], edges[1:]), axis=1)


@pytest.fixture
def copying(bigram: Network, repeats: Text, counts: Counts) -> Network:
    return place_copy(bigram, *repeats, counts.unigram)


def with_heads(network: Network, codes: LogBilinear) -> Network:
    """Random maps for a head at lag 1, and for every other head of the layer one at lag 2."""
    blueprint, draw = network.blueprint, torch.Generator().manual_seed(0)
    rank, identity = codes.left.shape[1], divide(blueprint).identity - 2
    lags = (1, *[2] * (blueprint.kv_heads - 1))
    size = blueprint.head_width
    model = OffsetModel(
        codes,
        torch.randn(len(codes.bias), identity, generator=draw),
        lags,
        tuple(0.1 * torch.randn(size, rank + identity, generator=draw) for _ in lags),
        tuple(0.1 * torch.randn(rank, size, generator=draw) for _ in lags),
    )
    stream = place(codes, blueprint, 0, model.identity)
    heads = lag_heads(model, stream, blueprint, network.wiring)
    return dataclasses.replace(
        network, stream=dataclasses.replace(stream, heads=heads, offsets=model)
    )


def logits(network: Network, ids: torch.Tensor) -> torch.Tensor:
    normed = network.normalised(network.residual(ids))
    if network.stream.final_bias is not None:
        normed = normed + network.stream.final_bias
    return normed @ network.stream.unembed.T


def test_room_costs_a_bigram_nothing(bigram: Network, mass: np.ndarray) -> None:
    roomy = with_buffer(bigram, 8, mass)
    ids = torch.arange(64)[None] * 7 % 512
    torch.testing.assert_close(logits(roomy, ids), logits(bigram, ids), atol=2e-3, rtol=1e-3)
    buffer = torch.from_numpy(roomy.stream.coordinates.buffer).float()
    assert float((roomy.stream.embed @ buffer).abs().max()) < 1e-4
    torch.testing.assert_close(roomy.stream.embed.norm(dim=1), bigram.stream.embed.norm(dim=1))


def test_the_blocks_stay_one_basis(bigram: Network, codes: LogBilinear, mass: np.ndarray) -> None:
    for network in (bigram, with_heads(bigram, codes)):
        at = with_buffer(network, 8, mass).stream.coordinates
        blocks = (at.prediction, at.identity, at.filler, at.buffer, at.carrier, at.positions)
        basis = np.concatenate(blocks, axis=1)
        assert np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)
        before = network.stream.coordinates
        assert basis.shape[1] == sum(
            part.shape[1]
            for part in (
                *(before.prediction, before.identity, before.filler),
                *(before.carrier, before.positions),
            )
        )


def test_heads_read_what_is_left_of_the_codes(
    bigram: Network, codes: LogBilinear, mass: np.ndarray
) -> None:
    """Three quarters of the codes go, and less than that of what the heads say."""
    network = with_heads(bigram, codes)
    at = network.stream.coordinates
    size = 3 * (at.identity.shape[1] + 2) // 8
    roomy, none = with_buffer(network, size, mass), dataclasses.replace(network.stream, heads=())
    ids = torch.from_numpy(np.random.default_rng(0).choice(512, (4, 64), p=mass))
    wanted, found = logits(network, ids), logits(roomy, ids)
    without = logits(dataclasses.replace(network, stream=none), ids)
    missing = (found - wanted).square().mean() / (without - wanted).square().mean()
    assert 0 < float(missing) < 0.75**2


def test_the_match_is_where_the_token_stood_before(copying: Network) -> None:
    ids = torch.arange(100, 164)[None]
    ids[0, 50] = ids[0, 20]
    match = next(head for head in copying.stream.heads if head.layer == 1)
    first = [head for head in copying.stream.heads if head.layer == 0]
    stream = dataclasses.replace(copying.stream, heads=tuple(first))
    before = dataclasses.replace(copying, stream=stream)
    normed = before.normalised(before.residual(ids))
    weights = torch.softmax(copying.scores(match, normed), dim=2)[0]
    assert int(weights[50].argmax()) == 21
    assert float(weights[50, 21]) > 0.3
    assert float(weights[50].topk(2).values[1]) < 0.15


def test_what_followed_the_last_time_is_likelier(copying: Network, bigram: Network) -> None:
    ids = torch.arange(100, 164)[None]
    ids[0, 50] = ids[0, 20]
    after, before = (torch.log_softmax(logits(each, ids)[0], 1) for each in (copying, bigram))
    rise = (after - before)[50]
    assert float(rise[int(ids[0, 21])]) > 1.0
    assert int(rise.argmax()) == int(ids[0, 21])


def test_the_buffer_is_empty_but_for_what_was_copied(copying: Network) -> None:
    """With the value of the match taken away nothing is left that votes."""
    stream = copying.stream
    heads = tuple(
        dataclasses.replace(head, value=0 * head.value)
        if head.layer == 1 and head.lag is None
        else head
        for head in stream.heads
    )
    buffer = torch.from_numpy(stream.coordinates.buffer).float()
    ids = torch.arange(64)[None] * 7 % 512

    def held(heads: tuple) -> float:
        network = dataclasses.replace(copying, stream=dataclasses.replace(stream, heads=heads))
        return float((network.residual(ids) @ buffer).norm(dim=2)[:, 1:].mean())

    assert held(heads) < 0.15 * held(heads[:1])


def test_the_induction_score_rises_and_the_text_gains(
    copying: Network, bigram: Network, repeats: Text
) -> None:
    repeated = repeated_sequences(np.ones(512, np.int64), 64, 0)
    assert repeated is not None
    before, after = (induction_score(each.loss, repeated) for each in (bigram, copying))
    assert abs(before) < 0.1
    assert after > before + 1
    assert copying.loss(*repeats) < bigram.loss(*repeats) - 0.2


def test_a_tied_head_reads_the_votes_through_its_lift(
    tied: Network, repeats: Text, counts: Counts
) -> None:
    built = place_copy(tied, *repeats, counts.unigram)
    frequent = np.argsort(-counts.unigram, kind="stable")[:64]  # rarer ones have no code of note
    ids = torch.from_numpy(frequent)[None]
    ids[0, 50] = ids[0, 20]
    after, before = (torch.log_softmax(logits(each, ids)[0], 1) for each in (built, tied))
    rise = (after - before)[50]
    copied = float(rise[int(ids[0, 21])])
    assert copied > 1.0
    assert int((rise > copied).sum()) < 10  # codes of rank 24 have some close neighbours
    repeated = repeated_sequences(np.ones(512, np.int64), 64, 0)
    assert repeated is not None
    assert induction_score(built.loss, repeated) > induction_score(tied.loss, repeated) + 1
    assert built.loss(*repeats) < tied.loss(*repeats) - 0.2


def test_the_lift_of_a_tied_head_moves_behind_the_votes_and_empties_the_buffer(
    tied: Network, repeats: Text, counts: Counts
) -> None:
    built = place_copy(tied, *repeats, counts.unigram)
    lift = built.stream.units[0]
    assert lift.layer == (2 if tied.wiring.parallel else 1)
    buffer = torch.from_numpy(built.stream.coordinates.buffer).float()
    ids = torch.arange(64)[None] * 7 % 512
    written, left = (
        float((built.residual(ids, before) @ buffer).norm(dim=2).mean())
        for before in (lift.layer, None)
    )
    assert left < 0.15 * written


def test_votes_are_for_the_token_itself(tied: Network, bigram: Network, mass: np.ndarray) -> None:
    """One nat on average, and of a tied head, which reads output codes, for nobody more."""
    for network in (tied, bigram):
        stream = network.stream
        read, write = predicted_votes(network, network.blueprint.head_width, mass)
        added = stream.embed.double().numpy() @ read @ write.T @ stream.coordinates.prediction
        right = stream.predictor.right.double().numpy()
        votes = added @ right.T / stream.coordinates.scale
        assert mass @ np.diag(votes) == pytest.approx(1, rel=1e-4)
        if network is tied:
            assert mass @ (votes.argmax(axis=1) == np.arange(512)) > 0.5


def test_heads_of_a_layer_have_one_gain_where_queries_are_normalised(
    codes: LogBilinear, repeats: Text, counts: Counts
) -> None:
    """And the heads that were there look where they looked."""
    blueprint = make_blueprint(CONFIGS["qwen3"] | {"num_key_value_heads": 4})
    plain = Network(place(codes, blueprint, 0), blueprint, read_wiring(blueprint))
    network = with_heads(plain, codes)
    built = place_copy(network, *repeats, counts.unigram)
    for layer in (0, 1):
        gains = [head.query_gain for head in built.stream.heads if head.layer == layer]
        assert len(gains) > 1
        for gain in gains[1:]:
            torch.testing.assert_close(gain, gains[0])
    ids = torch.arange(64)[None] * 7 % 512
    for head in built.stream.heads:
        if head.lag is not None:
            layers = dataclasses.replace(
                built.stream,
                heads=tuple(one for one in built.stream.heads if one.layer < head.layer),
                units=(),
            )
            stood = dataclasses.replace(built, stream=layers)
            normed = stood.normalised(stood.residual(ids))
            seen = torch.softmax(built.scores(head, normed), dim=2)[0]
            assert float(seen.diagonal(-head.lag)[8:].mean()) > 0.8


def test_no_keys_left_cost_the_last_heads(
    bigram: Network, codes: LogBilinear, repeats: Text, counts: Counts
) -> None:
    network = with_heads(bigram, codes)
    heads = place_copy(network, *repeats, counts.unigram).stream.heads
    group = bigram.blueprint.heads // bigram.blueprint.kv_heads
    for layer in (0, 1):
        slots = [head.index // group for head in heads if head.layer == layer]
        assert len(slots) == len(set(slots)) <= bigram.blueprint.kv_heads
    assert len([head for head in heads if head.layer == 0]) == len(network.stream.heads)


def obstructed(**changes: object) -> Blueprint:
    return make_blueprint(CONFIGS["llama"] | changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_hidden_layers": 1}, "two layers"),
        (CONFIGS["gpt_neox"] | {"tie_word_embeddings": True}, "beside the attention"),
        ({"num_key_value_heads": 1}, "two heads"),
        ({"hidden_size": 32}, "width 32"),
        ({"rope_theta": 4.0}, "turn all but"),
    ],
)
def test_obstacles(changes: dict[str, object], reason: str) -> None:
    assert copy_obstacle(obstructed()) is None
    found = copy_obstacle(obstructed(**changes))
    assert found is not None
    assert reason in found
