"""How much an embedding looks like k₀ of the counts, beside what random ones reach."""

from __future__ import annotations

from statistics import fmean

import torch

from structinit_core.blueprint import Role
from structinit_core.checkpoint import StoredTensors
from structinit_core.cooc import Counts, Distance, window_view
from structinit_core.diagnose.layout import Layout
from structinit_core.diagnose.report import Check
from structinit_core.initializers.kernel import (
    DENSE_VOCABULARY,
    WINDOW,
    derive_k0_fft,
    likeness,
    log_cooccurrence,
    untrained,
)

_MATRICES = 7
"""Matrices of V² float64 at the peak, which is D^ε with its transforms."""
_CONTROL = (
    "k0_cosine.untrained is the mean of random embeddings of the same shape, which no text has "
    "seen and which score about as high as what was published of trained ones: k0_cosine means "
    "something only above it"
)


def kernel_findings(
    stored: StoredTensors,
    layout: Layout,
    counts: Counts,
    *,
    seed: int,
    device: torch.device,
    memory_bytes: int,
) -> tuple[list[Check], list[str]]:
    """``k0_cosine`` and ``k0_cosine.untrained`` of the embedding, and notes; or a note why not.

    The cosine of :func:`~structinit_core.initializers.kernel.likeness` between the rows of the
    counted tokens and k₀ of :func:`~structinit_core.initializers.kernel.derive_k0_fft`, of pairs
    at most 5 apart; the control is the mean of five draws by ``seed``. Nothing of either where no
    embedding is known or it is not finite. Cost: some 11·V³ and 6·V²·d; memory 7·8·V² bytes,
    taken only if within ``memory_bytes``. Deterministic for one BLAS and device.
    """
    name = next((n for n, s in layout.specs.items() if s and s.roles[0] is Role.EMBED), None)
    if name is None:
        return [], []
    table, v = stored.read(name), counts.vocabulary
    why = _left_out(counts, len(table), memory_bytes)
    if why:
        return [], [f"k0_cosine is left out: {why}"]
    if not table.is_floating_point():
        return [], []
    rows = table[:v].to(device, torch.float64)
    largest = rows.abs().max()
    if not largest.isfinite():
        return [], []
    if largest > 0:
        rows /= largest  # scale changes nothing, and products of float64 entries may overflow
    log_counts = log_cooccurrence(window_view(counts.offsets, WINDOW, Distance.FLAT), device)
    k0 = derive_k0_fft(log_counts)
    drawn = untrained(log_counts, k0, rows.shape[1], seed)
    control = fmean(one.cosine for one in drawn)
    return [
        Check(name="k0_cosine", value=likeness(rows, log_counts, k0).cosine, tensor=name),
        Check(name="k0_cosine.untrained", value=control, tensor=name),
    ], [_CONTROL]


def _left_out(counts: Counts, rows: int, memory_bytes: int) -> str | None:
    """Why there is no cosine, known before anything is allocated."""
    v, counted = counts.vocabulary, len(counts.offsets)
    if v > DENSE_VOCABULARY:
        return f"its eigenvectors are taken up to V = {DENSE_VOCABULARY:,}, not {v:,}"
    if v > rows:
        return f"the counts have {v:,} tokens, the embedding has {rows:,} rows"
    if counted < WINDOW:
        return f"its window is {WINDOW} offsets, and {counted} were counted"
    if not any(offset.nnz for offset in counts.offsets[:WINDOW]):
        return "the counts hold no pair"
    need = _MATRICES * 8 * v**2
    if need > memory_bytes:
        return f"it takes {need / 2**20:,.0f} MiB, allowed are {memory_bytes / 2**20:,.0f}"
    return None
