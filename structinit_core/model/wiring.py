"""What of a forward pass a blueprint does not say, with transformers' own numbers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError
from structinit_core.model.load import check_config, first_line

_FIXED = ("default", "linear", "llama3", "yarn")
"""Rotary kinds whose frequencies do not change with the length of the text."""


@dataclass(frozen=True)
class Wiring:
    """How the parts of a model are joined.

    ``scales``: what queries are multiplied by, for each layer. ``windows``: how many positions
    a query sees, its own included, for each layer; ``None`` is all. ``parallel``: attention and
    feed-forward read the same residual stream. ``frequencies``: radians per position of each
    rotated pair (float32), the first ``2 × len`` entries of a head in halves; none where
    positions are learned. ``rotary_scale`` multiplies cosines and sines.
    """

    scales: tuple[float, ...]
    windows: tuple[int | None, ...]
    parallel: bool
    frequencies: NDArray[np.float32]
    rotary_scale: float


def read_wiring(blueprint: Blueprint) -> Wiring:
    """The wiring of the blueprint's config, with transformers' defaults; no weights are made.

    Raises:
        IncompatibleError: transformers refuses the config, or its rotary frequencies are not
            the same for every length.
    """
    settings = check_config(blueprint.config)
    layers = range(blueprint.layers)
    frequencies, rotary_scale = np.zeros(0, np.float32), 1.0
    if not blueprint.learned_positions:
        frequencies, rotary_scale = _rotary(settings)
    scale = blueprint.head_width**-0.5 if getattr(settings, "scale_attn_weights", True) else 1.0
    by_layer = getattr(settings, "scale_attn_by_inverse_layer_idx", False)
    kinds = getattr(settings, "layer_types", None) or ["sliding_attention"] * blueprint.layers
    window = getattr(settings, "sliding_window", None)
    return Wiring(
        scales=tuple(scale / (layer + 1) if by_layer else scale for layer in layers),
        windows=tuple(window if kind == "sliding_attention" else None for kind in kinds),
        parallel=bool(getattr(settings, "use_parallel_residual", False)),
        frequencies=frequencies,
        rotary_scale=rotary_scale,
    )


def _rotary(settings: Any) -> tuple[NDArray[np.float32], float]:
    """Frequencies and scale as the family's own module computes them."""
    kind = settings.rope_parameters["rope_type"]
    if kind not in _FIXED:
        raise IncompatibleError(
            f"config: rotary positions of type {kind!r} are not supported",
            hint=f"supported: {', '.join(_FIXED)}",
        )
    family = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(settings)]
    names = vars(sys.modules[family.__module__])
    try:
        module = next(value for name, value in names.items() if name.endswith("RotaryEmbedding"))(
            settings
        )
    except Exception as error:  # a rotary kind checks its parameters in ways of its own
        raise IncompatibleError(
            f"config: transformers refuses its rotary positions ({first_line(error)})"
        ) from error
    return module.inv_freq.numpy(), float(module.attention_scaling)
