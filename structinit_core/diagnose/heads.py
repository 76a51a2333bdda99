"""Attention heads side by side: how alike their circuits are, and queries to keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Role
from structinit_core.diagnose.report import Check, Grid

ONE_HEAD = 0.999
"""Cosine of both circuits from which two heads count as one."""

Floats = NDArray[np.float64]


@dataclass
class Projection:
    """One of a layer's q, k, v, o in output × input form.

    ``products`` are the inner products of the lines that make up its heads (rows; of the
    output map columns), over any common scale.
    """

    matrix: Tensor
    products: Tensor
    heads: int
    width: int


def head_findings(layer: int, held: dict[Role, Projection]) -> Iterator[Check | Grid]:
    """How alike the heads of one attention layer are.

    A head acts through two circuits, W_QᵀW_K and W_O·W_V (Elhage et al. 2021), which do not
    change when its inner basis does. The grids ``heads.qk`` and ``heads.ov`` hold the cosines
    of these between every two heads of the layer (H × H); heads.qk_diversity and
    heads.ov_diversity are 1 − the mean of their moduli off the diagonal. qk_alignment is the
    mean over heads of the cosine between W_Q and W_K, 1 where a token asks for its like.
    heads.identical counts pairs alike in both circuits, which get equal gradients for ever,
    so one is a warning. Biases, norms of queries and keys and rotary positions are left out.
    Cost: H·w squared multiply-adds beside the products.
    """
    tensor = f"layer {layer}"
    queries, keys = held[Role.ATTN_Q], held[Role.ATTN_K]
    values, output = held[Role.ATTN_V], held[Role.ATTN_OUT]
    aligned = _alignment(queries, keys)
    yield Check(name="qk_alignment", value=float(aligned.mean()), tensor=tensor)
    if queries.heads < 2:
        return
    alike = {"qk": _cosines(queries, keys), "ov": _cosines(output, values)}
    off = ~np.eye(queries.heads, dtype=bool)
    for name, cosines in alike.items():
        diversity = 1 - float(np.abs(cosines[off]).mean())
        yield Check(name=f"heads.{name}_diversity", value=diversity, tensor=tensor)
        rows = tuple(tuple(round(float(c), 4) for c in row) for row in cosines)
        yield Grid(name=f"heads.{name}", rows=rows, layer=layer)
    same = (alike["qk"] > ONE_HEAD) & (alike["ov"] > ONE_HEAD) & off
    pairs = int(same.sum()) // 2
    yield Check(
        name="heads.identical",
        value=pairs,
        unit="pairs",
        threshold=0,
        verdict="warn" if pairs else "ok",
        tensor=tensor,
    )


def _alignment(queries: Projection, keys: Projection) -> Floats:
    """⟨W_Q, W_K⟩/(‖W_Q‖·‖W_K‖) of every query head with the keys it reads."""
    cosines = np.zeros(queries.heads)
    for head in range(queries.heads):
        q = _rows(queries, head)
        k = _rows(keys, head * keys.heads // queries.heads)
        lengths = float(q.norm() * k.norm())
        cosines[head] = float(q @ k) / lengths if lengths else 0.0
    return cosines


def _rows(part: Projection, head: int) -> Tensor:
    rows = part.matrix[head * part.width : (head + 1) * part.width].double()
    return (rows / (rows.abs().max() or 1.0)).reshape(-1)


def _cosines(many: Projection, shared: Projection) -> Floats:
    """Cosines of the bilinear forms A_gᵀB_g: ⟨A_gᵀB_g, A_hᵀB_h⟩ = Σ (A_g·A_hᵀ)∘(B_g·B_hᵀ).

    ``shared`` may have fewer heads, each serving a run of the others.
    """
    heads, width = many.heads, many.width
    group = heads // shared.heads
    ours = many.products.view(heads, width, heads, width)
    theirs = shared.products.view(shared.heads, width, shared.heads, width)
    inner = torch.stack(
        [
            (ours[h] * theirs[h // group].repeat_interleave(group, dim=1)).sum(dim=(0, 2))
            for h in range(heads)
        ]
    )
    table: Floats = inner.double().cpu().numpy()
    lengths = np.sqrt(table.diagonal().clip(min=0))
    scale = np.outer(lengths, lengths)
    return np.clip(np.divide(table, scale, out=np.zeros_like(table), where=scale > 0), -1, 1)
