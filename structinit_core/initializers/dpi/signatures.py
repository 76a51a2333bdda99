"""Phases 2 and 3: what keys, values and queries of a layer are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint
from structinit_core.initializers.dpi.bases import Manifold, normed, per_group, tiled
from structinit_core.initializers.dpi.schedule import Depth
from structinit_core.initializers.dpi.settings import DpiSettings

_CENTRES_BASIS = 0.2
"""Share of the basis that v16.2 adds to the cluster centres."""


def keys(settings: DpiSettings, depth: Depth, basis: Tensor, centres: Tensor) -> Tensor:
    """W_K before it is cut to heads, normed (d, d).

    ``arc``: (1 − s)·M + s·QR(Mᵀ)ᵀ, M = (1 − p)·centres + p·basis, s = sin πp: orthogonal rows
    at mid-depth. ``centres``: centres + 0.2·basis. Past the phase shift: the basis.
    """
    if depth.shifted(settings):
        return basis
    if settings.keys == "centres":
        return normed(centres + _CENTRES_BASIS * basis)
    mixed = (1 - depth.p) * centres + depth.p * basis
    share = settings.key_orthogonality * depth.arc
    if share == 0:
        return normed(mixed)
    if settings.unit_keys:
        mixed = normed(mixed)
    return normed((1 - share) * mixed + share * orthogonal_rows(mixed))


def values(settings: DpiSettings, depth: Depth, manifold: Manifold, basis: Tensor) -> Tensor:
    """W_V before it is cut to heads, normed (d, d): the basis with a flatter spectrum."""
    if depth.shifted(settings) or settings.value_gamma == 1.0:
        return basis
    return normed(manifold.basis(settings.value_gamma * depth.gamma(settings)))


def queries(
    settings: DpiSettings, depth: Depth, basis: Tensor, key_rows: Tensor, blueprint: Blueprint
) -> Tensor:
    """W_Q, normed (heads·head width, d): a share of the keys each head reads, and the basis."""
    share = depth.alignment(settings)
    shared = per_group(key_rows, blueprint.heads, blueprint.kv_heads)
    return normed(share * shared + (1 - share) * tiled(basis, len(shared)))


def orthogonal_rows(matrix: Tensor) -> Tensor:
    """The orthogonal factor of the rows of ``matrix``, with a positive diagonal of R."""
    q, r = torch.linalg.qr(matrix.T)
    rows: Tensor = (q * torch.where(r.diagonal() < 0, -1.0, 1.0)).T
    return rows


def alignment(query_rows: Tensor, key_rows: Tensor, blueprint: Blueprint) -> float:
    """Cosine between W_Q and the keys its heads read, as vectors."""
    shared = per_group(key_rows, blueprint.heads, blueprint.kv_heads)
    return float(torch.nn.functional.cosine_similarity(query_rows.flatten(), shared.flatten(), 0))
