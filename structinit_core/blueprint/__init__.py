"""A Hugging Face config as an ordered tuple of tensors with roles; no weights, no torch."""

from structinit_core.blueprint.blueprint import Blueprint, Norm
from structinit_core.blueprint.config import make_blueprint, read_config
from structinit_core.blueprint.presets import PRESETS, is_preset, named_config, preset
from structinit_core.blueprint.roles import HeadSplit, Kind, Orientation, Role, TensorSpec

__all__ = [
    "PRESETS",
    "Blueprint",
    "HeadSplit",
    "Kind",
    "Norm",
    "Orientation",
    "Role",
    "TensorSpec",
    "is_preset",
    "make_blueprint",
    "named_config",
    "preset",
    "read_config",
]
