"""A small GPT-2 config to vary."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def config() -> dict[str, Any]:
    """Sizes that are all different, so that no two can be confused."""
    return {
        "model_type": "gpt2",
        "vocab_size": 37,
        "n_positions": 19,
        "n_embd": 12,
        "n_layer": 2,
        "n_head": 3,
        "n_inner": 23,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
    }
