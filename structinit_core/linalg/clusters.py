"""Seeded k-means: centres that are the same in every run."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_ROUNDS = 10
_BLOCK = 1 << 26
"""Distances held at a time."""


def cluster_centres(points: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """Centres of ``count`` clusters of the rows of ``points`` (n, d): float32 (count, d).

    By size of cluster, largest first. Lloyd's iteration for at most 10 rounds, from distinct
    rows drawn at random; a cluster that loses all its points moves to the one farthest from
    its centre. With fewer points than clusters, points are repeated. Ties go to the lower
    index. Deterministic for the generator's state on one machine class. Cost: 2·n·count·d
    multiply-adds a round; memory 2²⁶ distances. Source: Lloyd 1982.
    """
    points = points.float()
    total = len(points)
    drawn = [generator.permutation(total) for _ in range(-(-count // total))]
    chosen = torch.from_numpy(np.concatenate(drawn)[:count]).to(points.device)
    centres = points.index_select(0, chosen)
    labels = torch.full((total,), -1, device=points.device)
    for _ in range(_ROUNDS):
        found, distances = _nearest(points, centres)
        if bool((found == labels).all()):
            break
        labels = found
        centres = _means(points, labels, distances, count)
    sizes = torch.bincount(labels, minlength=count)
    return centres.index_select(0, torch.sort(sizes, descending=True, stable=True).indices)


def _nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point, and its squared distance less the point's own square."""
    squares = centres.square().sum(dim=1)
    labels, distances = [], []
    for block in torch.split(points, max(1, _BLOCK // len(centres))):
        found = torch.addmm(squares, block, centres.T, alpha=-2).min(dim=1)
        labels.append(found.indices)
        distances.append(found.values)
    return torch.cat(labels), torch.cat(distances)


def _means(points: Tensor, labels: Tensor, distances: Tensor, count: int) -> Tensor:
    # sums over sorted segments: scattered sums on an accelerator have no fixed order
    order = torch.sort(labels, stable=True).indices
    sizes = torch.bincount(labels, minlength=count)
    grouped = points.index_select(0, order)
    means = torch.segment_reduce(grouped, "sum", lengths=sizes) / sizes.clamp(min=1)[:, None]
    empty = torch.nonzero(sizes == 0).flatten()
    if len(empty):
        far = torch.sort(distances + points.square().sum(dim=1), descending=True, stable=True)
        means[empty] = points[far.indices[torch.arange(len(empty)) % len(points)]]
    return means
