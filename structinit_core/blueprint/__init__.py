"""A Hugging Face config as an ordered tuple of tensors with roles; no weights, no torch."""

from structinit_core.blueprint.blueprint import Blueprint, Norm
from structinit_core.blueprint.config import make_blueprint, read_config
from structinit_core.blueprint.roles import HeadSplit, Kind, Orientation, Role, TensorSpec

__all__ = [
    "Blueprint",
    "HeadSplit",
    "Kind",
    "Norm",
    "Orientation",
    "Role",
    "TensorSpec",
    "make_blueprint",
    "read_config",
]
