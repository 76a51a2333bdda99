"""How a model's parts are joined: what of its forward pass a blueprint does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from structinit_core.blueprint import Blueprint
from structinit_core.errors import IncompatibleError

_PLAIN = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
"""Fields of rotary parameters that need no more than the base and the share of a head."""


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
    frequencies: torch.Tensor
    rotary_scale: float


def read_wiring(blueprint: Blueprint) -> Wiring:
    """The wiring of the blueprint's config, with the defaults of transformers.

    transformers itself is asked, and takes seconds to import, for rotary positions that are
    interpolated only.

    Raises:
        IncompatibleError: a field of the wrong type, or rotary frequencies that are not the
            same for every length.
    """
    config, layers = blueprint.config, range(blueprint.layers)
    by_layer = blueprint.family == "gpt2" and _flag(config, "scale_attn_by_inverse_layer_idx")
    scaled = blueprint.family != "gpt2" or _flag(config, "scale_attn_weights", default=True)
    scale = blueprint.head_width**-0.5 if scaled else 1.0
    frequencies, rotary_scale = _frequencies(blueprint)
    return Wiring(
        scales=tuple(scale / (layer + 1) if by_layer else scale for layer in layers),
        windows=_windows(blueprint),
        parallel=blueprint.family == "gpt_neox"
        and _flag(config, "use_parallel_residual", default=True),
        frequencies=frequencies,
        rotary_scale=rotary_scale,
    )


def _windows(blueprint: Blueprint) -> tuple[int | None, ...]:
    """Mistral's window is every layer's; in Qwen the config names its layers."""
    config, layers = blueprint.config, range(blueprint.layers)
    window = config.get("sliding_window", 4096)
    if window is not None and (type(window) is not int or window < 1):
        raise IncompatibleError(f"config: 'sliding_window' is {window!r}, not a size")
    if blueprint.family == "mistral":
        return (window,) * blueprint.layers
    if blueprint.family not in ("qwen2", "qwen3") or not _flag(config, "use_sliding_window"):
        return (None,) * blueprint.layers
    first = config.get("max_window_layers", 28)
    kinds = config.get("layer_types") or [
        "sliding_attention" if layer >= first else "full_attention" for layer in layers
    ]
    if len(kinds) != blueprint.layers or set(kinds) - {"sliding_attention", "full_attention"}:
        raise IncompatibleError("config: 'layer_types' names other layers than the model has")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _frequencies(blueprint: Blueprint) -> tuple[torch.Tensor, float]:
    """base^(−2i / entries) for pair i (Su et al., RoFormer, section 3.2.2), unless interpolated."""
    if blueprint.learned_positions:
        return torch.zeros(0), 1.0
    config, neox = blueprint.config, blueprint.family == "gpt_neox"
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    plain = isinstance(rope, dict) and rope.get("rope_type", rope.get("type")) in (None, "default")
    if not plain or set(rope) - _PLAIN:
        from structinit_core.model.rotary import rotary_frequencies

        return rotary_frequencies(config)
    base = rope.get("rope_theta", config.get("rotary_emb_base" if neox else "rope_theta", 1e4))
    share = rope.get("partial_rotary_factor", config.get("rotary_pct", 0.25)) if neox else 1.0
    for name, value in (("base", base), ("share", share)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise IncompatibleError(f"config: the {name} of rotary positions is {value!r}")
    entries = int(blueprint.head_width * share)
    powers = torch.arange(0, entries, 2, dtype=torch.float32) / entries
    return 1.0 / base**powers, 1.0


def _flag(config: dict[str, Any], name: str, default: bool = False) -> bool:
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise IncompatibleError(f"config: {name!r} must be true or false, not {value!r}")
    return value
