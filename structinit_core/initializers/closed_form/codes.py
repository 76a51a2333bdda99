"""Prediction codes: the log-bilinear bigram x_a·w_b + b_b, and its start from the counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structinit_core.cooc import KneserNey
from structinit_core.corpus import TokenStream, scored_positions
from structinit_core.linalg import (
    FactorReport,
    generator,
    truncated_svd,
    weighted_double_centred,
)

BLOCK_ELEMENTS = 1 << 22
"""Entries of one row block of logits: no array of V×V entries ever exists."""
_UNSEEN_MASS = 1e-2
"""Row mass, in occurrences, of a token that was never followed by anything."""
_TOLERANCE = 1e-2
"""Residual of the codes relative to the largest value; the refit moves them far more."""
_BOUNDING_COLUMNS = 4096
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class LogBilinear:
    """P(b | a) = softmax_b(x_a·w_b + b_b): left (V, r), right (V, r), bias (V,), float32."""

    left: Tensor
    right: Tensor
    bias: Tensor

    def to(self, device: torch.device) -> LogBilinear:
        """The same codes on ``device``."""
        return LogBilinear(*(t.to(device) for t in (self.left, self.right, self.bias)))

    def logits(self, rows: Tensor) -> Tensor:
        """Logits of the given context tokens: (rows, V)."""
        return torch.addmm(self.bias, self.left.index_select(0, rows), self.right.T)


@dataclass(frozen=True)
class Spectrum:
    """A factorisation in numbers: the singular values kept, descending, and their report."""

    values: tuple[float, ...]
    report: FactorReport

    def facts(self) -> dict[str, float]:
        """Rank, outermost values, residuals and the share of the energy held, by name."""
        facts = {
            "rank": len(self.values),
            "largest_singular_value": self.values[0],
            "smallest_singular_value": self.values[-1],
            "relative_residual": self.report.residual,
            "median_relative_residual": self.report.median_residual,
        }
        if self.report.energy is not None:
            facts["energy_share"] = self.report.energy
        return facts


@dataclass(frozen=True)
class Pairs:
    """Distinct bigrams of a text with their counts, ordered by context: three (n,) arrays."""

    context: NDArray[np.int64]
    following: NDArray[np.int64]
    count: NDArray[np.float64]

    @property
    def total(self) -> float:
        """Number of bigrams with repetitions."""
        return float(self.count.sum())

    def blocks(self, vocabulary: int) -> Iterator[tuple[NDArray[np.int64], slice]]:
        """Distinct contexts in row blocks, each with the slice of pairs they own."""
        contexts, first = np.unique(self.context, return_index=True)
        edges = np.append(first, len(self.context))
        rows = block_rows(vocabulary)
        for low in range(0, len(contexts), rows):
            high = min(low + rows, len(contexts))
            yield contexts[low:high], slice(int(edges[low]), int(edges[high]))


def block_rows(vocabulary: int) -> int:
    """Rows of V logits in one block of :data:`BLOCK_ELEMENTS`, at least one."""
    return max(1, BLOCK_ELEMENTS // vocabulary)


def scored_pairs(stream: TokenStream, windows: NDArray[np.int64], vocabulary: int) -> Pairs:
    """The bigrams that end in a scored token of the windows."""
    at = scored_positions(windows)
    keys = stream.ids[at - 1].astype(np.int64) * vocabulary + stream.ids[at].astype(np.int64)
    distinct, counts = np.unique(keys, return_counts=True)
    return Pairs(distinct // vocabulary, distinct % vocabulary, counts.astype(np.float64))


def loss(codes: LogBilinear, pairs: Pairs) -> float:
    """Mean negative log-likelihood of the pairs in nats; O(distinct contexts · V · r)."""
    device, total = codes.left.device, 0.0
    for contexts, owned in pairs.blocks(len(codes.bias)):
        rows = torch.from_numpy(contexts).to(device)
        log_p = torch.log_softmax(codes.logits(rows), dim=1)
        row, column, weight = locate(pairs, contexts, owned, device)
        total -= float((log_p[row, column].double() * weight).sum())
    return total / max(pairs.total, 1.0)


def least_log_normalizer(codes: LogBilinear) -> float:
    """At most the smallest log Σ_b exp(x_a·w_b + b_b) over all contexts a.

    A bound from the 4,096 columns of largest bias, exact up to that many; V·4096·r.
    """
    bias, kept = codes.bias.topk(min(_BOUNDING_COLUMNS, len(codes.bias)))
    right = codes.right[kept].T
    blocks = torch.split(codes.left, block_rows(len(kept)))
    return min(
        float(torch.logsumexp(torch.addmm(bias, block, right), dim=1).min()) for block in blocks
    )


def locate(
    pairs: Pairs, contexts: NDArray[np.int64], owned: slice, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Row inside the block, column and float64 count of every pair the block owns."""
    row = np.searchsorted(contexts, pairs.context[owned])
    arrays: tuple[NDArray[Any], ...] = (row, pairs.following[owned], pairs.count[owned])
    first, second, third = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays)
    return first, second, third


def row_mass(model: KneserNey) -> NDArray[np.float64]:
    """Share of each context in all bigrams, float64 (V,), positive and summing to 1."""
    mass = np.maximum(model.totals, _UNSEEN_MASS)
    share: NDArray[np.float64] = mass / mass.sum()
    return share


def factorise(
    model: KneserNey, rank: int, seed: int, device: torch.device = _CPU
) -> tuple[LogBilinear, Spectrum]:
    """Codes of rank ``rank`` from the KN bigram's log-ratio, and its singular values.

    The Fisher-weighted, doubly centred log-ratio D_a^½·M̃·D_b^½ ≈ U·Σ·Vᵀ gives
    X = D_a^-½·U·Σ^½, W = D_b^-½·V·Σ^½ and b = log p_kn + column means (closed-form note 3.2).
    The products run on ``device``; the codes are on the CPU.
    Cost: sparse products with a few times r columns; memory O(nnz + V·r). Source: ours.
    """
    rows, columns = row_mass(model), model.unigram
    operator, column_means = weighted_double_centred(model.log_ratio(), rows, columns)
    drawn = generator(seed, "closed-form", "codes")
    svd = truncated_svd(operator, rank, drawn, tolerance=_TOLERANCE, device=device)
    root = np.sqrt(svd.values)
    left = svd.left * root / np.sqrt(rows)[:, None]
    right = svd.right * root / np.sqrt(columns)[:, None]
    bias = np.log(model.continuation) + column_means
    spectrum = Spectrum(tuple(svd.values.tolist()), svd.report)
    return LogBilinear(_float(left), _float(right), _float(bias)), spectrum


def _float(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
