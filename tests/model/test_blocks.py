"""Layers run one at a time are transformers' own model, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from structinit_core.blueprint import Role, make_blueprint
from structinit_core.model import Blocks, default_tensors

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
}
SLIDING = ["full_attention", "sliding_attention", "full_attention"]
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2"},
    "gpt2, scaled by layer": {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True},
    "llama": {"model_type": "llama", "num_key_value_heads": 2},
    "mistral, sliding": {"model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 5},
    "qwen2": {"model_type": "qwen2", "num_key_value_heads": 2},
    "qwen3": {
        "model_type": "qwen3",
        "num_key_value_heads": 2,
        "head_dim": 16,
        "layer_types": SLIDING,
        "sliding_window": 5,
        "use_sliding_window": True,
    },
    "gpt_neox": {"model_type": "gpt_neox"},
}


def config_of(name: str) -> dict[str, Any]:
    config = SIZES | CONFIGS[name]
    if config["model_type"] == "gpt2":
        config["n_inner"] = config.pop("intermediate_size")
    return config


@pytest.mark.parametrize("name", CONFIGS)
def test_layer_by_layer_is_the_whole_model(name: str) -> None:
    config = config_of(name)
    blueprint, tensors = make_blueprint(config), default_tensors(config, 0)
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**config)
    ).eval()
    model.load_state_dict(
        {key if "embed_out" not in key else "lm_head.weight": t for key, t in tensors.items()},
        strict=False,
    )
    ids = torch.arange(3 * 40).view(3, 40) * 7 % 96
    blocks = Blocks(blueprint, torch.device("cpu"))
    (embed,) = [tensors[s.name] for s in blueprint.tensors if s.roles == (Role.EMBED,)]
    stream = embed[ids]
    if blueprint.learned_positions:
        stream = stream + tensors["transformer.wpe.weight"]
    for layer in range(3):
        own = {s.name: tensors[s.name] for s in blueprint.tensors if s.layer == layer}
        stream = blocks.run(layer, own, stream)
    final = {s.name: tensors[s.name] for s in blueprint.tensors if Role.FINAL_NORM in s.roles}
    with torch.no_grad():
        theirs = model.base_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(blocks.final_norm(final, stream), theirs, atol=1e-6, rtol=1e-6)


def test_a_few_windows_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from structinit_core.model import blocks as room

    config = config_of("llama")
    blueprint, tensors = make_blueprint(config), default_tensors(config, 0)
    own = {s.name: tensors[s.name] for s in blueprint.tensors if s.layer == 1}
    stream = torch.arange(5 * 8 * 32).view(5, 8, 32).float().sin()
    blocks = Blocks(blueprint, torch.device("cpu"))
    whole = blocks.run(1, own, stream)
    monkeypatch.setattr(room, "_HIDDEN_ELEMENTS", 1)
    torch.testing.assert_close(blocks.run(1, own, stream), whole)


def test_the_global_random_state_stays_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Blocks(make_blueprint(config_of("llama")), torch.device("cpu"))
    assert torch.equal(before, torch.get_rng_state())
