"""Small random networks of every family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from structinit_core.blueprint import Blueprint, make_blueprint

V, T = 40, 16
_SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": T,
}
Network = tuple[Any, Blueprint]


@pytest.fixture
def network() -> Callable[..., Network]:
    """A random model of a family with its blueprint; ``fields`` change its config."""

    def make(family: str, **fields: Any) -> Network:
        config: dict[str, Any] = _SIZES | {"vocab_size": V, "bos_token_id": 0, "eos_token_id": 0}
        if family == "gpt2":
            config["n_inner"] = config.pop("intermediate_size")
        elif family != "gpt_neox":
            config["num_key_value_heads"] = 1
        config |= {"tie_word_embeddings": False} | fields
        torch.manual_seed(0)
        settings = transformers.AutoConfig.for_model(family, **config)
        model = transformers.AutoModelForCausalLM.from_config(settings).eval()
        return model, make_blueprint({"model_type": family} | config)

    return make
