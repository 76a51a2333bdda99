"""Logits that are the log-unigram at step 0, written into the norms' own direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Norm, Role, TensorSpec
from structinit_core.errors import IncompatibleError
from structinit_core.linalg import generator

_PADDING = 1e-4
"""Probability that all rows without a token share at most."""


def unigram_bias(
    stream: Iterable[tuple[TensorSpec, Tensor]],
    blueprint: Blueprint,
    seed: int,
    unigram: NDArray[np.float64],
) -> Iterator[tuple[TensorSpec, Tensor]]:
    """``stream``, whose blocks must write nothing, with log ``unigram`` added to its logits.

    A seeded unit direction u without mean is taken out of embeddings, positions and head, so
    the head's own small logits stay. LayerNorm: the final bias is √d·u. RMSNorm, which has no
    bias: embedding rows get one length, the rms of theirs, and as much of u on top; the norm
    then gives every token the same component c of u, close to √(d/2). The head reads the
    centred log-probabilities along u, divided by √d or c. ``unigram``: positive, float64
    (tokens,); rows beyond it share at most 10⁻⁴. Deterministic for a seed. Source: ours.

    Raises:
        IncompatibleError: a tied head, whose rows cannot be both.
        ValueError: ``unigram`` is not positive, or longer than the vocabulary.
    """
    if blueprint.tied:
        raise IncompatibleError(
            "unigram-bias needs an untied head",
            hint='set "tie_word_embeddings": false in the config',
        )
    target = _centred(unigram, blueprint.vocabulary)
    return _changed(stream, blueprint, target, generator(seed, "unigram-bias"))


def _changed(
    stream: Iterable[tuple[TensorSpec, Tensor]],
    blueprint: Blueprint,
    target: Tensor,
    draw: np.random.Generator,
) -> Iterator[tuple[TensorSpec, Tensor]]:
    along = draw.standard_normal(blueprint.width)
    along -= along.mean()
    direction = torch.from_numpy(along / np.linalg.norm(along))
    component = blueprint.width**0.5
    for spec, tensor in stream:
        role = spec.roles[0]
        if role in (Role.EMBED, Role.POSITION, Role.HEAD):
            rows = _without(tensor.double(), direction)
            if role is Role.EMBED and blueprint.norm is Norm.RMS:
                rows = _one_length(rows, direction, draw)
                length = float(rows[0].norm())
                rows += length * direction
                square = 2 * length**2 / blueprint.width + blueprint.norm_epsilon
                component = length / square**0.5
            if role is Role.HEAD:
                rows += torch.outer(target / component, direction)
            tensor = rows.float()
        elif role is Role.FINAL_NORM and spec.kind is Kind.BIAS:
            tensor = (component * direction).float()
        yield spec, tensor


def _centred(unigram: NDArray[np.float64], vocabulary: int) -> Tensor:
    """Log-probabilities without their mean: float64 (V,)."""
    if unigram.ndim != 1 or len(unigram) > vocabulary or not np.all(unigram > 0):
        raise ValueError(f"no positive unigram of at most {vocabulary} tokens")
    padding = np.full(vocabulary - len(unigram), _PADDING / vocabulary)
    logs = np.log(np.concatenate((unigram, padding)))
    return torch.from_numpy(logs - logs.mean())


def _without(rows: Tensor, direction: Tensor) -> Tensor:
    return rows - torch.outer(rows @ direction, direction)


def _one_length(rows: Tensor, direction: Tensor, draw: np.random.Generator) -> Tensor:
    """Rows scaled to the rms of their lengths; a row of zeros takes a random direction."""
    length = rows.square().sum(dim=1).mean().sqrt()
    empty = ~rows.any(dim=1)  # transformers zeroes the row of the padding token
    spare = torch.from_numpy(draw.standard_normal((int(empty.sum()), rows.shape[1])))
    rows[empty] = _without(spare, direction)
    return length * torch.nn.functional.normalize(rows, dim=1)
