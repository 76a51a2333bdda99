"""Every family's table names what the real model stores, fused and grouped as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from structinit_core.blueprint import Kind, Role, make_blueprint
from structinit_core.blueprint.families import FAMILIES
from structinit_core.errors import IncompatibleError
from structinit_core.initializers.stream import stored

SINGLE = "model.safetensors"
SIZES = {
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "bos_token_id": None,
    "eos_token_id": None,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama, every bias": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama, grouped": {"model_type": "llama", "num_key_value_heads": 2},
    "llama, heads of their own width": {"model_type": "llama", "head_dim": 8},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "num_key_value_heads": 2},
    "mistral, default groups": {"model_type": "mistral", "num_attention_heads": 16},
    "qwen2": {"model_type": "qwen2", "num_key_value_heads": 2},
    "qwen2, tied": {"model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "num_key_value_heads": 2},
    "qwen3, biases": {"model_type": "qwen3", "num_key_value_heads": 4, "attention_bias": True},
    "gpt_neox": {"model_type": "gpt_neox"},
    "gpt_neox, tied": {"model_type": "gpt_neox", "tie_word_embeddings": True},
    "gpt_neox, no bias": {"model_type": "gpt_neox", "attention_bias": False},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_names_shapes_and_count(variant: dict[str, Any], tmp_path: Path) -> None:
    config = SIZES | variant
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    model.save_pretrained(tmp_path)
    blueprint = make_blueprint(config)
    saved = {name: tuple(t.shape) for name, t in load_file(tmp_path / SINGLE).items()}
    assert {spec.name: spec.shape for spec in blueprint.tensors if not spec.tied_to} == saved
    assert blueprint.parameters == sum(weights.numel() for weights in model.parameters())
    assert blueprint.architecture == type(model).__name__
    assert blueprint.tied == model.config.tie_word_embeddings
    assert blueprint.context == model.config.max_position_embeddings


def test_every_family_is_compared() -> None:
    compared = {variant["model_type"] for variant in VARIANTS.values()}
    assert compared == set(FAMILIES) - {"gpt2"}


@pytest.mark.parametrize("missing", ["hidden_act", "rms_norm_eps", "tie_word_embeddings"])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_defaults_are_those_of_transformers(family: str, missing: str) -> None:
    config = SIZES | {"model_type": family, "num_key_value_heads": 2}
    real, blueprint = AutoConfig.for_model(**config), make_blueprint(config)
    assert missing not in config
    ours = {
        "hidden_act": blueprint.activation,
        "rms_norm_eps": blueprint.norm_epsilon,
        "tie_word_embeddings": blueprint.tied,
    }
    assert ours[missing] == getattr(real, missing)


def test_gpt_neox_splits_q_k_v_head_by_head() -> None:
    config = SIZES | {"model_type": "gpt_neox", "hidden_dropout": 0.0}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    spec = next(
        spec
        for spec in make_blueprint(config).tensors
        if Role.ATTN_Q in spec.roles and spec.kind is Kind.WEIGHT
    )
    parts = [torch.randn(spec.logical_shape) for _ in spec.roles]
    attention = model.gpt_neox.layers[0].attention
    with torch.no_grad():
        attention.query_key_value.weight.copy_(stored(spec, parts))
        attention.query_key_value.bias.zero_()
        hidden = torch.randn(1, 5, 64)
        fused = attention.query_key_value(hidden).view(1, 5, 4, 48)
    for logical, ours in zip(parts, fused.split(16, dim=-1), strict=True):
        torch.testing.assert_close(ours.flatten(2), hidden @ logical.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"num_key_value_heads": 3}, "cannot share 3"),
        ({"num_attention_heads": 7}, "not a multiple"),
        ({"hidden_act": "tanh"}, "hidden_act"),
        ({"intermediate_size": None}, "intermediate_size"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(IncompatibleError, match=complaint):
        make_blueprint(SIZES | {"model_type": "llama"} | change)
