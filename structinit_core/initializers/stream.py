"""Logical matrices to stored tensors, in blueprint order: what every initializer yields."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Orientation, Role, TensorSpec
from structinit_core.errors import NumericalError
from structinit_core.initializers.fill import fill

Compiled = dict[tuple[Role, Kind, int | None], Tensor]
"""Logical parts a method has set, by (role, kind, layer)."""
_ROWS = 1 << 14
"""Looked at together for NaN: the look takes as much memory as they do."""


def stored(spec: TensorSpec, parts: list[Tensor]) -> Tensor:
    """The stored tensor of logical parts: fused along the output axis, oriented, contiguous."""
    if spec.per_head and spec.heads is not None:
        shape = (spec.heads.count, spec.heads.width, *parts[0].shape[1:])
        whole = torch.cat([part.view(shape) for part in parts], dim=1).flatten(0, 1)
    else:
        whole = torch.cat(parts, dim=0) if len(parts) > 1 else parts[0]
    if spec.orientation is Orientation.IN_OUT:
        whole = whole.T
    if tuple(whole.shape) != spec.shape:
        raise ValueError(f"{spec.name}: made {tuple(whole.shape)}, the blueprint says {spec.shape}")
    return whole.contiguous()


def compiled_stream(
    blueprint: Blueprint, compiled: Compiled, seed: int
) -> Iterator[tuple[TensorSpec, Tensor]]:
    """Every stored tensor in blueprint order: the compiled parts, and :func:`fill` elsewhere.

    Memory: one tensor beyond them.

    Raises:
        NumericalError: a tensor holds NaN or infinity.
    """
    for spec in blueprint.tensors:
        if spec.tied_to:
            continue
        tensor = compiled_tensor(spec, compiled, blueprint, seed)
        if not finite(tensor):
            raise NumericalError("holds NaN or infinity", where=spec.name)
        yield spec, tensor


def finite(tensor: Tensor) -> bool:
    """Whether no entry is NaN or infinite.

    A sum tells at a thirtieth of the cost; it is looked closer where the sum itself overflows.
    """
    if bool(torch.isfinite(tensor.sum())):
        return True
    return all(bool(torch.isfinite(rows).all()) for rows in torch.split(tensor, _ROWS))


def compiled_tensor(
    spec: TensorSpec, compiled: Compiled, blueprint: Blueprint, seed: int
) -> Tensor:
    """One stored tensor: its compiled parts, and :func:`fill` where there are none."""
    parts = []
    for role in spec.roles:
        part = compiled.get((role, spec.kind, spec.layer))
        parts.append(fill(spec, role, blueprint, seed) if part is None else part)
    return stored(spec, parts)
