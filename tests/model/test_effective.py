from __future__ import annotations

import pytest

from structinit_core.errors import IncompatibleError
from structinit_core.model import effective_config

GPT2 = {"model_type": "gpt2", "vocab_size": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}


def test_a_default_written_out_is_the_same_network() -> None:
    written = GPT2 | {"n_positions": 1024, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True}
    assert effective_config(GPT2) == effective_config(written)


@pytest.mark.parametrize(
    "label",
    [
        {"architectures": ["GPT2LMHeadModel"]},
        {"dtype": "bfloat16"},
        {"bos_token_id": 3, "eos_token_id": 4},
        {"attn_pdrop": 0.3},
        {"transformers_version": "1.0"},
        {"initializer_range": 0.5},
    ],
)
def test_labels_and_dropout_make_no_other_network(label: dict[str, object]) -> None:
    assert effective_config(GPT2 | label) == effective_config(GPT2)


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (GPT2, {"scale_attn_by_inverse_layer_idx": True}),
        (GPT2, {"activation_function": "relu"}),
        (GPT2, {"n_head": 4}),
        (GPT2, {"tie_word_embeddings": False}),
        (LLAMA, {"rope_theta": 500000.0}),
        (LLAMA, {"rms_norm_eps": 1e-3}),
        (LLAMA, {"attention_bias": True}),
    ],
)
def test_what_the_forward_pass_uses_does(config: dict, change: dict[str, object]) -> None:
    assert effective_config(config | change) != effective_config(config)


def test_what_transformers_refuses_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="transformers refuses it"):
        effective_config(LLAMA | {"num_attention_heads": "two"})
