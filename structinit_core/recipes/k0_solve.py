"""The numbers of a ``k0`` run: kernel, embeddings, and the control beside every cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structinit_core.cooc import Counts
from structinit_core.diagnose import Check, Report, Series
from structinit_core.initializers.kernel import (
    Likeness,
    Placed,
    derive_k0,
    derive_k0_fft,
    kernel_embeddings,
    likeness,
    log_cooccurrence,
    spectral_embeddings,
    spectrum_of,
    untrained,
)
from structinit_core.linalg import Device, generator
from structinit_core.progress import Progress

_PUBLISHED = (
    "as published, for comparison: W = D conv circ(k0) is circulant, so two tokens are as similar "
    "as the difference of their ids, and the embeddings say nothing of words",
    "the kernel depends on how the tokens are numbered, and k0 is the row of token 0",
)
_CLAMPED = (
    "eigenvalues below 1e-15 are clamped to it, so k0 is a row of the projector on the negative "
    "eigenspace (and that of zero, of tokens in no pair) times 1e15^0.997, or 9e14 "
    "(k0.clamped_share of its square)"
)
_CONTROL = (
    "cosine.untrained is that of random embeddings, which no text has seen: a cosine of a "
    "trained model means something only above it"
)

_ROUNDING = 1e-12
"""Share of the largest eigenvalue below which one is rounding."""


@dataclass(frozen=True)
class Solved:
    """embeddings float32 (V, d); k₀ float64 (V,) where the method has one; what was measured."""

    method: str
    embeddings: NDArray[np.float32]
    k0: NDArray[np.float64] | None
    spectrum: tuple[float, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]


def solve_dense(
    view: Any, dim: int, epsilon: float, *, fft: bool, seed: int, device: Device, progress: Progress
) -> Solved:
    """k₀ by either published form, and the published embeddings of it; V ≤ 8,192."""
    progress.stage("eigenvalues of the log-counts")
    log_counts = log_cooccurrence(view, device)
    spectrum = spectrum_of(log_counts)
    values = spectrum.values.cpu().numpy()
    k0 = (derive_k0_fft if fft else derive_k0)(log_counts, epsilon, spectrum)
    share = spectrum.clamped_share(epsilon)
    del spectrum
    progress.stage("embeddings")
    embeddings = kernel_embeddings(log_counts, k0, dim)
    progress.stage("untrained control")
    own, drawn = likeness(embeddings, log_counts, k0), untrained(log_counts, k0, dim, seed)
    zero = _ROUNDING * values[-1]
    checks = [
        Check(name="epsilon", value=epsilon),
        Check(name="eigenvalues.negative", value=int((values < -zero).sum())),
        Check(name="eigenvalues.zero", value=int((np.abs(values) <= zero).sum())),
        Check(name="eigenvalues.least", value=float(values[0])),
        Check(name="eigenvalues.largest", value=float(values[-1])),
        Check(name="k0.norm", value=float(k0.norm())),
        *([] if fft else [Check(name="k0.clamped_share", value=share)]),
        *_likenesses(own, drawn),
    ]
    return Solved(
        method="fft" if fft else "derive",
        embeddings=embeddings.float().cpu().numpy(),
        k0=k0.cpu().numpy(),
        spectrum=tuple(np.sort(np.abs(values))[::-1].tolist()),
        checks=tuple(checks),
        notes=(*_PUBLISHED, *(() if fft else (_CLAMPED,)), _CONTROL),
    )


def solve_power(
    view: Any, dim: int, power: float, *, seed: int, device: Device, progress: Progress
) -> Solved:
    """Q₊·λ₊^power of the log-counts, matrix-free."""
    progress.stage("eigenvectors of the log-counts")
    found = spectral_embeddings(
        view, dim, generator(seed, "k0", "power"), power=power, device=device
    )
    report = found.report
    facts = {
        "spectral_power": power,
        "rank": len(found.values),
        "eigenvalues.largest": float(found.values[0]),
        "eigenvalues.least_taken": float(found.values[-1]),
        "energy_share": report.energy,
        "largest_relative_residual": report.residual,
        "krylov_columns": report.columns,
    }
    checks = [Check(name=name, value=value) for name, value in facts.items()]
    if not report.converged:
        progress.warn(f"eigenvectors are exact to {report.residual:.0e} of the largest value only")
    return Solved(
        method="power",
        embeddings=found.embeddings,
        k0=None,
        spectrum=tuple(found.values.tolist()),
        checks=tuple(checks),
        notes=(),
    )


def k0_report(
    solved: Solved, counts: Counts, view: Any, window: int, placed: Placed | None
) -> Report:
    """``report.json`` of a run; ``view`` holds the window's counts."""
    rows = solved.embeddings.astype(np.float64)
    used = rows.any(axis=1)
    facts = {
        "vocabulary": counts.vocabulary,
        "dimensions": rows.shape[1],
        "window": window,
        "counted_tokens": int(counts.unigram.sum()),
        "distinct_pairs": int(view.nnz),
        "embedding.rms": float(np.sqrt(np.square(rows[used]).mean())),
        "embedding.zero_rows": int((~used).sum()),
        "embedding.zero_columns": int((~rows.any(axis=0)).sum()),
    }
    notes = list(solved.notes)
    if counts.pruned is not None:
        notes.append(f"the counts are pruned: pairs below {counts.pruned.min_count} are taken as 0")
    if placed is not None:
        facts |= {
            "init.scale": placed.scale,
            "init.embedding_rms": placed.rms,
            "init.default_rows": placed.default_rows,
        }
        notes.append(
            "the checkpoint's embedding is init.scale times embeddings.npy, which has the rms of "
            "the family's own start; init.default_rows rows, of padding or of tokens in no pair, "
            "and all other tensors are the family's own"
        )
    return Report(
        subject=f"k0 {solved.method}",
        checks=(*(Check(name=name, value=value) for name, value in facts.items()), *solved.checks),
        notes=tuple(notes),
        series=(Series(name="eigenvalues by modulus", values=solved.spectrum),),
    )


def _likenesses(own: Likeness, drawn: Sequence[Likeness]) -> list[Check]:
    """Cosine and circulant score of the embeddings, each with those of random ones."""
    checks = []
    for name in ("cosine", "circulant"):
        values = [getattr(one, name) for one in drawn]
        for part, value in (
            ("embeddings", getattr(own, name)),
            ("untrained", float(np.mean(values))),
            ("untrained.least", min(values)),
            ("untrained.largest", max(values)),
        ):
            checks.append(Check(name=f"{name}.{part}", value=value))
    return checks
