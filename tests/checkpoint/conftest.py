"""A tiny GPT-2 plan, and checkpoints cut into shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from structinit_core.blueprint import Blueprint, make_blueprint

CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 11,
    "n_embd": 4,
    "n_layer": 1,
    "n_head": 2,
    "n_positions": 8,
}


@pytest.fixture
def make() -> Callable[..., Blueprint]:
    """The blueprint of the tiny config with other fields."""
    return lambda **fields: make_blueprint(CONFIG | fields)


@pytest.fixture
def sharded(tmp_path: Path) -> Callable[..., Path]:
    """Write shards (file name: tensors) and an index; the index may be given as well."""

    def write(shards: dict[str, dict[str, Tensor]], index: dict[str, str] | None = None) -> Path:
        directory = tmp_path / "checkpoint"
        directory.mkdir(exist_ok=True)
        for name, tensors in shards.items():
            save_file(tensors, directory / name)
        if index is None:
            index = {tensor: name for name, tensors in shards.items() for tensor in tensors}
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
        return directory

    return write
