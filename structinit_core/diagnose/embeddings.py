"""Rows of the embedding and the head: where they point, how long they are, how often they occur."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.diagnose.report import Check, Series

_PIECE = 1 << 22
_BINS = 16


def row_findings(
    name: str, table: Tensor, unigram: NDArray[np.int64] | None
) -> Iterator[Check | Series]:
    """How the V rows of a finite embedding or head lie.

    anisotropy: mean cosine between two different rows (Ethayarajh 2019), 0 for rows in all
    directions, 1 for one direction; rows of zeros are left out. With ``unigram`` counts of the
    tokens, norm_by_frequency is the rank correlation of row norms and counts, of the tokens
    that occur, and the series of that name the mean norm in 16 bins of log₁₀ count. Cost: two
    passes; memory 32 MiB and two numbers a row.
    """
    norms = np.concatenate([_norms(piece).cpu().numpy() for piece in _pieces(table)])
    total, kept, start = torch.zeros(table.shape[1], dtype=torch.float64), 0, 0
    for piece in _pieces(table):
        lengths = torch.from_numpy(norms[start : start + len(piece)])
        some = lengths > 0
        total += (piece[some].double() / lengths[some, None]).sum(dim=0)
        kept += int(some.sum())
        start += len(piece)
    if kept > 1:
        cosine = (float(total @ total) - kept) / (kept * (kept - 1))
        yield Check(name="anisotropy", value=cosine, tensor=name)
    if unigram is not None and len(unigram) <= len(norms):
        yield from _by_frequency(name, norms[: len(unigram)], unigram)


def cosine_of_rows(one: Tensor, other: Tensor) -> float | None:
    """The mean cosine between equal rows of two tables; ``None`` where no row has a direction."""
    total, kept = 0.0, 0
    for a, b in zip(_pieces(one), _pieces(other), strict=True):
        lengths = _norms(a) * _norms(b)
        some = lengths > 0
        total += float(((a.double() * b.double()).sum(dim=1)[some] / lengths[some]).sum())
        kept += int(some.sum())
    return total / kept if kept else None


def _by_frequency(
    name: str, norms: NDArray[np.float64], unigram: NDArray[np.int64]
) -> Iterator[Check | Series]:
    occurs = unigram > 0
    counts, norms = np.log10(unigram[occurs]), norms[occurs]
    if len(counts) < 2 or counts.min() == counts.max():
        return
    ranks = np.corrcoef(_ranks(counts), _ranks(norms))[0, 1] if np.ptp(norms) else 0.0
    yield Check(name="norm_by_frequency", value=float(ranks), tensor=name)
    edges = np.linspace(counts.min(), counts.max(), _BINS + 1)
    place = np.clip(np.digitize(counts, edges) - 1, 0, _BINS - 1)
    sizes = np.bincount(place, minlength=_BINS)
    means = np.bincount(place, norms, minlength=_BINS) / np.maximum(sizes, 1)
    yield Series(
        name="norm_by_frequency",
        values=tuple(map(float, means)),
        edges=tuple(map(float, edges)),
        tensor=name,
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, those of equal values their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return means


def _norms(piece: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(piece.double(), dim=1)
    return norms


def _pieces(table: Tensor) -> Iterator[Tensor]:
    step = max(1, _PIECE // max(1, table.shape[1]))
    for start in range(0, len(table), step):
        yield table[start : start + step]
