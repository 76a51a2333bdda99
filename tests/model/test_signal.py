"""Signal of a batch: against transformers' own outputs, and on networks with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from structinit_core.errors import IncompatibleError
from structinit_core.linalg import generator
from structinit_core.model import gradient_norms, measure_signal, signal_rows
from structinit_core.model import signal as module
from structinit_core.progress import Silent

FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox")
V, T = 40, 16
IDS = generator(0, "signal").integers(0, V, (6, T))


def measured(network, rows: int = 2, **more: bool) -> module.Signal:
    model, blueprint = network
    return measure_signal(model, blueprint, IDS, Silent(), rows=rows, **more)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_what_transformers_returns(network, family: str) -> None:
    model, blueprint = network(family, initializer_range=0.3)
    found = measured((model, blueprint))
    ours = gradient_norms(model, blueprint)
    model.zero_grad()
    model.set_attn_implementation("eager")
    ids = torch.from_numpy(IDS)
    out = model(
        input_ids=ids,
        labels=ids,
        output_hidden_states=True,
        output_attentions=True,
        use_cache=False,
    )
    out.loss.backward()
    assert found.loss == pytest.approx(float(out.loss.detach()), rel=1e-5)
    assert ours == pytest.approx(gradient_norms(model, blueprint), rel=1e-4)
    logits = out.logits[:, :-1].detach()
    assert found.logits.mean == pytest.approx(float(logits.mean()), abs=1e-5)
    assert found.logits.square == pytest.approx(float(logits.square().mean()), rel=1e-4)
    assert found.logits.largest == pytest.approx(float(logits.abs().max()), rel=1e-5)
    stream = {place.depth: place.moments for place in found.stream}
    # The last hidden state is the one after the final norm.
    *states, final = (state.detach() for state in out.hidden_states)
    for layer, state in enumerate(states):
        assert stream[2 * layer].variance == pytest.approx(float(state.var(correction=0)), rel=1e-4)
        assert stream[2 * layer].mean == pytest.approx(float(state.mean()), abs=1e-6)
    assert found.final.moments.variance == pytest.approx(float(final.var(correction=0)), rel=1e-4)
    keys = torch.arange(1, T + 1).log()[1:]
    for layer, weights in enumerate(out.attentions):
        entropy = torch.special.entr(weights.detach()).sum(-1)[..., 1:] / keys
        assert found.entropy[layer] == pytest.approx(entropy.mean((0, 2)).numpy(), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_the_stream_are_in_order(network, family: str) -> None:
    names = [place.name for place in measured(network(family)).stream]
    inner = [] if family == "gpt_neox" else ["attention"]
    branches = [f"layer {i} after {b}" for i in (0, 1) for b in (*inner, "feed-forward")]
    assert names == ["after embedding", *branches]


def test_rows_at_a_time_change_nothing_but_rounding(network) -> None:
    pair = network("llama", initializer_range=0.3)
    one = measured(pair, rows=1)
    norms = gradient_norms(*pair)
    whole = measured(pair, rows=6)
    assert one.loss == pytest.approx(whole.loss, rel=1e-6)
    assert one.entropy == pytest.approx(whole.entropy, rel=1e-6)
    assert norms == pytest.approx(gradient_norms(*pair), rel=1e-5)
    again = measured(pair, rows=6)
    assert again.loss == whole.loss
    assert again.entropy.tobytes() == whole.entropy.tobytes()


def test_blocks_of_logits_change_nothing_but_rounding(network, monkeypatch) -> None:
    pair = network("gpt2", initializer_range=0.3)
    whole, norms = measured(pair), gradient_norms(*pair)
    monkeypatch.setattr(module, "_LOGIT_ELEMENTS", 3 * V)
    assert measured(pair).loss == pytest.approx(whole.loss, rel=1e-6)
    assert norms == pytest.approx(gradient_norms(*pair), rel=1e-5)


def test_a_stream_without_branches_keeps_its_variance(network) -> None:
    model, blueprint = network("gpt2")
    with torch.no_grad():
        model.transformer.wpe.weight.zero_()
        # Every token's row has mean 1 and variance 4.
        signs = torch.tensor([-1.0, 1.0]).repeat(8)
        model.transformer.wte.weight.copy_(1 + 2 * signs.expand(V, 16))
        for block in model.transformer.h:
            block.attn.c_proj.weight.zero_()
            block.mlp.c_proj.weight.zero_()
    found = measured((model, blueprint))
    for place in found.stream:
        assert (place.moments.mean, place.moments.variance) == pytest.approx((1, 4), rel=1e-5)
        assert place.moments.largest == 3
    final = found.final.moments
    assert (final.mean, final.variance) == pytest.approx((0, 1), abs=1e-5)


def test_a_known_branch_adds_its_variance(network) -> None:
    model, blueprint = network("gpt2")
    with torch.no_grad():
        for block in model.transformer.h:
            block.attn.c_proj.weight.zero_()
            block.mlp.c_proj.weight.zero_()
            block.mlp.c_proj.bias.copy_(3 * torch.tensor([-1.0, 1.0]).repeat(8))
    stream = {place.depth: place.moments for place in measured((model, blueprint)).stream}
    start = stream[0].variance
    assert stream[1].variance == pytest.approx(start)
    # Almost the whole of it: the embedding is 0.03 long in every direction.
    assert stream[2].variance == pytest.approx(9, rel=0.05)
    assert stream[4].variance == pytest.approx(36, rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_keys_give_uniform_attention(network, family: str) -> None:
    model, blueprint = network(family)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("c_attn", "q_proj", "query_key_value")):
                parameter.zero_()
    assert measured((model, blueprint)).entropy == pytest.approx(np.ones((2, 2)), abs=1e-6)


def test_attention_to_oneself_has_no_entropy(network) -> None:
    model, blueprint = network("gpt2", num_hidden_layers=1)
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
        model.transformer.wpe.weight.copy_(100 * torch.eye(T))
        # Queries and keys are the normalised one-hot position itself, once for each head.
        for head in (0, 1):
            for part in (0, 1):
                columns = slice(16 * part + 8 * head, 16 * part + 8 * head + 8)
                code = torch.randn(16, 8, generator=torch.Generator().manual_seed(head))
                code = 50 * torch.nn.functional.normalize(code, dim=1)
                model.transformer.h[0].attn.c_attn.weight[:, columns] = code
    assert measured((model, blueprint)).entropy == pytest.approx(np.zeros((1, 2)), abs=1e-6)


def test_a_window_bounds_what_counts_as_uniform(network) -> None:
    model, blueprint = network("mistral", sliding_window=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "q_proj" in name:
                parameter.zero_()
    assert measured((model, blueprint)).entropy == pytest.approx(np.ones((2, 2)), abs=1e-6)


def test_attention_is_computed_as_before_afterwards(network) -> None:
    model, blueprint = network("llama")
    before = model.config._attn_implementation
    measured((model, blueprint))
    assert model.config._attn_implementation == before != "eager"
    assert not any(module._forward_hooks for module in model.modules())


def test_without_gradients_there_are_none(network) -> None:
    model, blueprint = network("qwen3")
    with_them, norms = measured((model, blueprint)), gradient_norms(model, blueprint)
    without = measured((model, blueprint), gradients=False)
    assert set(gradient_norms(model, blueprint).values()) == {0.0}
    assert min(norms.values()) > 0
    assert without.loss == pytest.approx(with_them.loss)


def test_what_is_not_finite_is_seen(network) -> None:
    model, blueprint = network("gpt2")
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.bias[3] = math.inf
    found = measured((model, blueprint))
    assert not math.isfinite(found.stream[-1].moments.largest)
    assert not math.isfinite(found.loss)


def test_unknown_tokens_are_refused(network) -> None:
    model, blueprint = network("gpt2")
    with pytest.raises(IncompatibleError, match="token 40"):
        measure_signal(model, blueprint, np.array([[1, 40]]), Silent(), rows=1)


def test_rows_follow_from_memory(network) -> None:
    _, blueprint = network("gpt2")
    assert signal_rows(blueprint, T, 1 << 20, gradients=True) == 0
    counts = [signal_rows(blueprint, T, size << 20, gradients=True) for size in (100, 200, 400)]
    assert 0 < counts[0] < counts[1] < counts[2]
    assert signal_rows(blueprint, T, 200 << 20, gradients=False) > counts[1]


@pytest.mark.cuda
def test_a_gpu_measures_the_same(network) -> None:
    model, blueprint = network("llama", initializer_range=0.3)
    here, norms = measured((model, blueprint)), gradient_norms(model, blueprint)
    there = measured((model.cuda(), blueprint))
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    assert there.entropy == pytest.approx(here.entropy, rel=1e-3)
    assert gradient_norms(model, blueprint) == pytest.approx(norms, rel=1e-2)
