"""Rotary frequencies as a family's own module in transformers computes them."""

from __future__ import annotations

import sys
from typing import Any

import torch
import transformers

from structinit_core.errors import IncompatibleError
from structinit_core.model.load import check_config, first_line

_FIXED = ("default", "linear", "llama3", "yarn")
"""Kinds whose frequencies do not change with the length of the text."""


def rotary_frequencies(config: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """Radians per position of each rotated pair (float32), and the factor of cosines and sines.

    Raises:
        IncompatibleError: transformers refuses the config, or the frequencies change with the
            length of the text.
    """
    settings = check_config(config)
    kind = settings.rope_parameters.get("rope_type")
    if kind not in _FIXED:
        raise IncompatibleError(
            f"config: rotary positions of type {kind!r} are not supported",
            hint=f"supported: {', '.join(_FIXED)}",
        )
    family = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(settings)]
    names = vars(sys.modules[family.__module__])
    rotary = next(value for name, value in names.items() if name.endswith("RotaryEmbedding"))
    try:
        module = rotary(settings)
    except Exception as error:  # a rotary kind checks its parameters in ways of its own
        raise IncompatibleError(
            f"config: transformers refuses its rotary positions ({first_line(error)})"
        ) from error
    return module.inv_freq, float(module.attention_scaling)
