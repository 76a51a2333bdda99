"""Tiny models of every family as transformers makes and saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

Save = Callable[..., Path]
SIZES: dict[str, Any] = {
    "vocab_size": 101,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "bos_token_id": None,
    "eos_token_id": None,
}


def sizes(family: str) -> dict[str, Any]:
    """The fields of a tiny model; GPT-2 derives its inner width."""
    return SIZES if family == "gpt2" else SIZES | {"intermediate_size": 48}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a model of random weights, biases and gains too, and give its directory."""

    def make(
        family: str, *, name: str = "model", dtype: Any = torch.float32, **fields: Any
    ) -> Path:
        torch.manual_seed(0)
        how = {key: fields.pop(key) for key in ("max_shard_size",) if key in fields}
        config = AutoConfig.for_model(family, **(sizes(family) | fields))
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(torch.randn_like(weights) * 0.05)
        model.to(dtype).save_pretrained(tmp_path / "model", **how)
        return tmp_path / "model"

    return make
