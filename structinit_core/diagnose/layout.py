"""Which role each stored tensor plays, by the config where there is one that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Orientation, Role, TensorSpec
from structinit_core.checkpoint import StoredTensors
from structinit_core.diagnose.report import Part

_BASE = re.compile(r"^(transformer|gpt_neox|model)\.")


@dataclass(frozen=True)
class Layout:
    """The stored tensors in reading order, with the blueprint's word on each that it knows.

    ``missing`` are tensors that the config needs and the checkpoint lacks, ``misshapen`` those
    that it stores in another shape: they are looked at by name alone.
    """

    specs: dict[str, TensorSpec | None]
    tied: bool | None = None
    missing: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()


def make_layout(shapes: Mapping[str, tuple[int, ...]], blueprint: Blueprint | None) -> Layout:
    """The layout of tensors of these names and shapes.

    Blueprint order, then all others by name; a model saved without its head lacks the first
    part of the blueprint's names. Without a blueprint nothing is known of any.
    """
    if blueprint is None:
        return Layout(dict.fromkeys(shapes))
    specs: dict[str, TensorSpec | None] = {}
    missing, misshapen = [], []
    for spec in blueprint.tensors:
        name = next((n for n in (spec.name, _BASE.sub("", spec.name)) if n in shapes), None)
        if name is None:
            if not spec.tied_to:
                missing.append(spec.name)
        elif shapes[name] != spec.shape:
            misshapen.append(name)
        else:
            specs[name] = spec
    specs |= {name: None for name in shapes if name not in specs}
    return Layout(specs, blueprint.tied, tuple(missing), tuple(misshapen))


def layout_of(stored: StoredTensors, blueprint: Blueprint | None) -> Layout:
    """The layout of an open checkpoint."""
    return make_layout({name: stored.header(name)[1] for name in stored.names}, blueprint)


def logical_parts(
    name: str, tensor: Tensor, spec: TensorSpec | None
) -> Iterator[tuple[Part, Role | None, Tensor]]:
    """The logical matrices or vectors in a stored tensor, output axis first; views of it.

    A fused tensor's parts are named after their roles: ``c_attn.weight[attn_q]``.
    """
    if spec is None:
        yield Part(name=name), None, tensor
        return
    whole = tensor.T if spec.orientation is Orientation.IN_OUT else tensor
    if len(spec.roles) == 1:
        yield Part(name=name, role=spec.roles[0].value, layer=spec.layer), spec.roles[0], whole
        return
    for at, role in enumerate(spec.roles):
        if spec.per_head and spec.heads is not None:
            heads = whole.view(-1, len(spec.roles), spec.heads.width, *whole.shape[1:])
            part = heads[:, at].flatten(0, 1)
        else:
            part = whole.chunk(len(spec.roles))[at]
        yield Part(name=f"{name}[{role.value}]", role=role.value, layer=spec.layer), role, part


def is_weight(spec: TensorSpec | None) -> bool:
    """Whether a tensor multiplies; unknown ones may."""
    return spec is None or spec.kind is Kind.WEIGHT
