"""Named configs: the networks that seed 001 published figures for, and a small one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from structinit_core.blueprint.config import read_config

_SHAPES = {
    "dpi-5m": (8192, 192, 5, 3, 128),
    "dpi-20m": (16_384, 320, 8, 5, 128),
    "dpi-335m": (16_384, 1024, 24, 16, 1024),
    "dpi-8b": (16_384, 4096, 40, 32, 1024),
}
"""Vocabulary, width, layers, heads and context of each; the feed-forward is 4 widths."""
PRESETS = tuple(_SHAPES)


def preset(name: str) -> dict[str, Any]:
    """The config of an entry of ``PRESETS``: an untied GPT-2 with exact GELU and dropout 0.1.

    20,327,040, 335,644,672 and 8,187,944,960 parameters as published (dpi-5m: 5,361,792),
    without what GPT-2 adds: a table of positions and the biases of its linear maps.
    """
    vocabulary, width, layers, heads, context = _SHAPES[name]
    return {
        "model_type": "gpt2",
        "vocab_size": vocabulary,
        "n_embd": width,
        "n_layer": layers,
        "n_head": heads,
        "n_inner": 4 * width,
        "n_positions": context,
        "activation_function": "gelu",
        "tie_word_embeddings": False,
    }


def named_config(reference: Path) -> dict[str, Any]:
    """The config of a preset's name, or the one in a file; a file of that name goes first.

    Raises:
        InputError: as of :func:`read_config`.
    """
    return preset(reference.name) if is_preset(reference) else read_config(reference)


def is_preset(reference: Path) -> bool:
    """Whether ``reference`` is the name of a preset and of no file."""
    return str(reference) in PRESETS and not reference.exists()
