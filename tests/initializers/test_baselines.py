"""Reference starts, judged by what transformers computes with them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from structinit_core.blueprint import Kind, Role, TensorSpec, make_blueprint
from structinit_core.checkpoint import write_checkpoint
from structinit_core.errors import IncompatibleError, NumericalError, UsageError
from structinit_core.initializers.baselines import (
    BASELINE_NAMES,
    BASELINES,
    assert_unit_gains,
    baseline_stream,
)
from structinit_core.model import default_tensors, load_model
from structinit_core.progress import Silent

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": SIZES | {"model_type": "gpt2", "intermediate_size": None},
    "llama": GROUPED | {"model_type": "llama", "attention_bias": True, "pad_token_id": 7},
    "mistral": GROUPED | {"model_type": "mistral"},
    "qwen2": GROUPED | {"model_type": "qwen2"},
    "qwen3": GROUPED | {"model_type": "qwen3", "head_dim": 8},
    "gpt_neox": SIZES | {"model_type": "gpt_neox"},
}
TOKENS = 50
"""Counted tokens; the models have ten rows of padding."""
UNIGRAM = np.arange(TOKENS, 0, -1.0) ** 1.5
UNIGRAM /= UNIGRAM.sum()
IDS = torch.from_numpy(np.random.default_rng(0).integers(0, TOKENS, (3, 12)))


def tensors_of(
    name: str,
    config: dict[str, Any],
    seed: int = 0,
    default: dict[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    if default is None and BASELINES[name].needs_default:
        default = default_tensors(config, seed)
    stream = baseline_stream(name, make_blueprint(config), seed, default=default, unigram=UNIGRAM)
    return {spec.name: tensor for spec, tensor in stream}


def specs_of(config: dict[str, Any]) -> list[TensorSpec]:
    return [spec for spec in make_blueprint(config).tensors if not spec.tied_to]


def model_of(name: str, config: dict[str, Any], directory: Path, **sources: Any) -> Any:
    """The start as transformers loads it from a checkpoint."""
    blueprint, tensors = make_blueprint(config), tensors_of(name, config, **sources)
    stream = ((spec, tensors[spec.name]) for spec in specs_of(config))
    write_checkpoint(directory, blueprint.tensors, stream, Silent())
    (directory / "config.json").write_text(json.dumps(config))
    return load_model(directory, torch.device("cpu"))


def log_probabilities(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.inference_mode():
        return torch.log_softmax(model(input_ids=ids).logits.double(), dim=-1)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_every_start_loads_and_predicts(name: str, family: str, tmp_path: Path) -> None:
    predicted = log_probabilities(model_of(name, CONFIGS[family], tmp_path))
    assert bool(torch.isfinite(predicted).all())


@pytest.mark.parametrize("family", CONFIGS)
def test_zero_gains_score_ln_v_exactly(family: str, tmp_path: Path) -> None:
    model = model_of("xavier-zero-gain", CONFIGS[family], tmp_path)
    with torch.inference_mode():
        output = model(input_ids=IDS, labels=IDS)
    assert not output.logits.any()
    assert float(output.loss) == pytest.approx(math.log(60), abs=1e-6)
    assert all(bool(w.any()) for _, w in model.named_parameters() if w.ndim == 2)


@pytest.mark.parametrize("family", CONFIGS)
def test_unigram_bias_predicts_the_unigram_after_every_input(family: str, tmp_path: Path) -> None:
    model = model_of("unigram-bias", CONFIGS[family], tmp_path)
    predicted = log_probabilities(model)
    divergence = (predicted.exp() * (predicted - _padded())).sum(dim=-1)
    assert float(divergence.max()) < 0.03
    assert float(predicted[..., TOKENS:].exp().sum(dim=-1).max()) < 2e-4
    assert float(predicted.std(dim=(0, 1)).mean()) > 1e-3, "the head's own logits are gone"


def _padded() -> torch.Tensor:
    padding = np.full(60 - TOKENS, 1e-4 / 60)
    return torch.from_numpy(np.log(np.concatenate((UNIGRAM, padding))))


@pytest.mark.parametrize("epsilon", [1e-6, 1e-3])
@pytest.mark.parametrize("family", CONFIGS)
def test_unigram_bias_is_exact_where_the_head_adds_nothing(
    family: str, epsilon: float, tmp_path: Path
) -> None:
    """After every token at every place, Llama's empty padding row (7) among them.

    Embeddings of rms 0.02 have a mean square of 4e-4, below the larger epsilon.
    """
    names = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
    config = CONFIGS[family] | dict.fromkeys(names, epsilon)
    default = default_tensors(config, 0)
    default[specs_of(config)[-1].name].zero_()
    model = model_of("unigram-bias", config, tmp_path, default=default)
    predicted = log_probabilities(model, torch.arange(60).view(5, 12))
    assert (family == "llama") == (not default[specs_of(config)[0].name][7].any())
    assert float((predicted - _padded().log_softmax(0)).abs().max()) < 1e-4


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
def test_zero_out_blocks_do_nothing(family: str, tmp_path: Path) -> None:
    """A token's prediction depends on nothing before it, and the other tensors are untouched."""
    config = CONFIGS[family]
    model = model_of("zero-out", config, tmp_path)
    other = IDS.flip(0).clone()
    other[:, -1] = IDS[:, -1]
    assert torch.equal(log_probabilities(model)[:, -1], log_probabilities(model, other)[:, -1])
    ours, default = tensors_of("zero-out", config), default_tensors(config, 0)
    for spec in make_blueprint(config).tensors:
        if spec.roles[0] in (Role.ATTN_OUT, Role.MLP_DOWN):
            assert not ours[spec.name].any()
        else:
            assert torch.equal(ours[spec.name], default[spec.name]), spec.name


def test_default_is_passed_through_and_shapes_are_checked() -> None:
    config = CONFIGS["gpt_neox"]
    default = default_tensors(config, 0)
    assert all(torch.equal(t, default[n]) for n, t in tensors_of("default", config).items())
    default["embed_out.weight"] = default["embed_out.weight"][:50]
    with pytest.raises(IncompatibleError, match=r"embed_out\.weight"):
        list(baseline_stream("default", make_blueprint(config), 0, default=default))


def test_gpt2_is_what_openai_drew() -> None:
    config = CONFIGS["gpt2"] | {"num_hidden_layers": 8, "hidden_size": 64}
    tensors = tensors_of("gpt2", config)
    for spec in specs_of(config):
        tensor = tensors[spec.name]
        if tensor.ndim == 1:
            assert bool((tensor == (spec.kind is Kind.WEIGHT)).all()), spec.name
            continue
        expected = 0.005 if spec.name.endswith("c_proj.weight") else 0.02
        assert float(tensor.std()) == pytest.approx(expected, rel=0.1), spec.name
        assert float(tensor.abs().max()) > 2.5 * expected, "not normal"


def test_xavier_fills_its_bounds_by_the_fans_of_each_logical_matrix() -> None:
    """q, k, v of a fused tensor are three matrices of 32 × 32, not one of 96 × 32."""
    tensors = tensors_of("xavier", CONFIGS["gpt_neox"])
    for name, fans in (
        ("gpt_neox.layers.1.attention.query_key_value.weight", 64),
        ("gpt_neox.layers.1.mlp.dense_h_to_4h.weight", 80),
        ("gpt_neox.embed_in.weight", 92),
        ("embed_out.weight", 92),
    ):
        bound = math.sqrt(6 / fans)
        assert 0.98 * bound < float(tensors[name].abs().max()) <= bound, name
        assert float(tensors[name].std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_zero_gain_differs_from_xavier_in_its_gains_only() -> None:
    plain, zero = (tensors_of(name, CONFIGS["qwen3"]) for name in ("xavier", "xavier-zero-gain"))
    for name, tensor in plain.items():
        if tensor.ndim == 1:
            assert not zero[name].any(), name
        else:
            assert torch.equal(tensor, zero[name]), name


# -- mimetic: what the loaded model multiplies ------------------------------------------------


def projections(model: Any, family: str) -> tuple[torch.Tensor, ...]:
    """q, k, v of layer 1 on the unit vectors, (heads, d, width), and the output's rows (d, ·).

    Through the model's own modules, and split as its own forward splits them.
    """
    eye = torch.eye(32)
    with torch.inference_mode():
        if family == "gpt2":
            attention = model.transformer.h[1].attn
            q, k, v = (x.view(32, -1, 8) for x in attention.c_attn(eye).split(32, dim=1))
            out = attention.c_proj.weight.T
        elif family == "gpt_neox":
            attention = model.gpt_neox.layers[1].attention
            q, k, v = attention.query_key_value(eye).view(32, 4, 24).split(8, dim=2)
            out = attention.dense.weight
        else:
            attention = model.model.layers[1].self_attn
            maps = (attention.q_proj, attention.k_proj, attention.v_proj)
            q, k, v = (linear(eye).view(32, -1, 8) for linear in maps)
            out = attention.o_proj.weight
    return *(x.transpose(0, 1).double() for x in (q, k, v)), out.detach().double()


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize(("name", "sign"), [("mimetic", -1), ("mimetic-positive", 1)])
def test_mimetic_products_lean_to_the_identity(
    family: str, name: str, sign: int, tmp_path: Path
) -> None:
    model = model_of(name, CONFIGS[family], tmp_path)
    q, k, v, out = projections(model, family)
    group = len(q) // len(k)
    assert group == (1 if family in ("gpt2", "gpt_neox") else 2)
    for head, queries in enumerate(q):
        product = queries @ k[head // group].T
        # Of d·0.7, what a random subspace of the head's 8 of 32 dimensions keeps, or more.
        assert 0.6 * 8 * 0.7 < float(product.trace()) < 32 * 0.7, head
        strangers = queries @ k[(head // group + 1) % len(k)].T
        assert float(product.trace()) > 2 * abs(float(strangers.trace()))
    blocks = out.view(32, len(q), 8).permute(1, 2, 0)
    whole = torch.einsum("hir,hrj->ij", v.repeat_interleave(group, dim=0), blocks)
    share = len(v) * 8 / 32
    trace = float(whole.trace()) * sign
    assert 0.5 * share * 0.4 * 32 < trace < 2 * 0.4 * 32
    if share == 1:  # nothing is cut: 0.4·Z ± 0.4·I to the last digit
        rest = whole - sign * 0.4 * torch.eye(32)
        assert float(rest.std()) == pytest.approx(0.4 / math.sqrt(32), rel=0.1)


def test_mimetic_heads_factor_their_targets_in_balance(tmp_path: Path) -> None:
    """A truncated SVD: queries and keys have orthogonal rows of the same lengths."""
    model = model_of("mimetic", CONFIGS["gpt2"], tmp_path)
    for queries, keys in zip(*projections(model, "gpt2")[:2], strict=True):
        one, other = queries.T @ queries, keys.T @ keys
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        assert float((one - one.diagonal().diag()).abs().max()) < 1e-5
        assert float(one.diagonal().min()) > 0.7, "not the largest singular values"


def test_grouped_queries_share_keys_and_keep_noise_of_their_own(tmp_path: Path) -> None:
    q, k, v, out = projections(model_of("mimetic", CONFIGS["llama"], tmp_path), "llama")
    first, second = q[0] @ k[0].T, q[1] @ k[0].T
    assert not torch.allclose(first, second, atol=0.05)
    blocks = out.view(32, 4, 8)
    assert torch.equal(blocks[:, 0], blocks[:, 1])
    assert not torch.allclose(blocks[:, 1], blocks[:, 2], atol=0.05)
    # Together the two heads of a group write with the whole factor, as long as the values'.
    together = blocks.view(32, 2, 2, 8).sum(dim=2).flatten(1)
    lengths = v.transpose(0, 1).flatten(1).norm(dim=0)
    torch.testing.assert_close(together.norm(dim=0), lengths, atol=1e-5, rtol=0)


def test_mimetic_leaves_all_but_attention_to_gpt2() -> None:
    plain, mimetic = (tensors_of(name, CONFIGS["mistral"]) for name in ("gpt2", "mimetic"))
    for name, tensor in plain.items():
        attention = "self_attn" in name
        assert torch.equal(tensor, mimetic[name]) != attention, name


def test_heads_wider_than_the_stream_have_no_dead_rows() -> None:
    config = CONFIGS["qwen3"] | {"head_dim": 48}
    tensors = tensors_of("mimetic", config)
    for letter in "qkv":
        rows = tensors[f"model.layers.0.self_attn.{letter}_proj.weight"]
        assert float(rows.norm(dim=1).min()) > 0.03
    queries = tensors["model.layers.0.self_attn.q_proj.weight"].view(4, 48, 32)
    keys = tensors["model.layers.0.self_attn.k_proj.weight"].view(2, 48, 32)
    rest = queries[0].T @ keys[0] - 0.7 * torch.eye(32)
    assert float(rest.std()) == pytest.approx(0.7 / math.sqrt(32), rel=0.15)


# -- the rules of every start -----------------------------------------------------------------


@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_seed_decides_every_byte(name: str) -> None:
    config = CONFIGS["qwen2"]
    once, again, other = (tensors_of(name, config, seed) for seed in (4, 4, 5))
    for key, tensor in once.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, again[key]), key
        constant = float(tensor.min()) == float(tensor.max())
        assert torch.equal(tensor, other[key]) == constant, key


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("name", sorted(set(BASELINE_NAMES) - {"unigram-bias"}))
def test_specs_come_in_blueprint_order_without_tied_ones(name: str, tied: bool) -> None:
    config = CONFIGS["llama"] | {"tie_word_embeddings": tied}
    blueprint = make_blueprint(config)
    stream = baseline_stream(name, blueprint, 0, default=default_tensors(config, 0))
    assert [spec for spec, _ in stream] == [s for s in blueprint.tensors if not s.tied_to]


def test_a_gain_that_is_not_one_stops_the_stream() -> None:
    config = CONFIGS["qwen3"]
    blueprint, default = make_blueprint(config), default_tensors(config, 0)
    name = "model.layers.1.self_attn.k_norm.weight"
    default[name] = default[name].clone()
    default[name][2] = 1.001
    with pytest.raises(NumericalError, match=name):
        list(baseline_stream("zero-out", blueprint, 0, default=default))
    zero = baseline_stream("xavier-zero-gain", blueprint, 0)
    with pytest.raises(NumericalError, match=r"layers\.0\.input_layernorm"):
        list(assert_unit_gains(zero))


def test_unigram_bias_refuses_a_tied_head_before_any_tensor() -> None:
    config = CONFIGS["llama"] | {"tie_word_embeddings": True}
    blueprint = make_blueprint(config)
    with pytest.raises(IncompatibleError, match="untied head") as refusal:
        baseline_stream("unigram-bias", blueprint, 0, default={}, unigram=UNIGRAM)
    assert "tie_word_embeddings" in str(refusal.value.hint)


def test_what_is_missing_is_named() -> None:
    blueprint = make_blueprint(CONFIGS["gpt2"])
    with pytest.raises(UsageError, match="no baseline 'none'"):
        baseline_stream("none", blueprint, 0)
    with pytest.raises(ValueError, match="the family's own tensors"):
        baseline_stream("zero-out", blueprint, 0)
    with pytest.raises(ValueError, match="unigram"):
        baseline_stream("unigram-bias", blueprint, 0, default={})
    for wrong in (np.ones(61), np.array([0.5, 0.0]), np.array([0.5, np.nan])):
        with pytest.raises(ValueError, match="unigram"):
            baseline_stream("unigram-bias", blueprint, 0, default={}, unigram=wrong)
