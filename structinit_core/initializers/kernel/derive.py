"""k₀ of a log-count matrix, in the two forms it was published in; they are not the same vector.

D is indefinite, about half of its eigenvalues are negative. The clamp of the first form turns each
of them into 10¹⁵, so what it gives is a row of the projector on the negative eigenspace. Source of
both: seed 004; of what is said about them: seed-origins note 4, reproduced in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from structinit_core.errors import LimitError, NumericalError
from structinit_core.initializers.kernel.circulant import guarded

EPSILON = 0.003
DENSE_VOCABULARY = 8192
"""Largest V of the dense forms: five matrices of V² float64 are held at once."""
CLAMP = 1e-15
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues ascending (V,) and eigenvectors (V, V) of a symmetric matrix, float64."""

    values: Tensor
    vectors: Tensor

    @property
    def clamped(self) -> Tensor:
        """The eigenvalues as the source has them: never below 10⁻¹⁵."""
        return self.values.clamp(min=CLAMP)

    def clamped_share(self, epsilon: float) -> float:
        """Share of ‖k₀‖² of :func:`derive_k0` that comes from eigenvalues the clamp has moved."""
        squares = (self.vectors.select(0, 0) * self.clamped ** (epsilon - 1)).square()
        return float(squares[self.values < CLAMP].sum() / squares.sum())


def refuse_large(vocabulary: int) -> None:
    """Refuse, before anything is allocated, what has no dense form.

    Raises:
        LimitError: V above :data:`DENSE_VOCABULARY`.
    """
    if vocabulary > DENSE_VOCABULARY:
        raise LimitError(
            f"derive and fft are dense and take V up to {DENSE_VOCABULARY}, not {vocabulary}: "
            "their clamp makes k0 a row of the projector on the negative eigenspace, half of the "
            "spectrum, which has no matrix-free route",
            hint="take --method power, or count with a smaller vocabulary",
        )


def log_cooccurrence(counts: sp.csr_array, device: torch.device = _CPU) -> Tensor:
    """D = log(1 + counts), float64 (V, V) on ``device``, of symmetric window counts.

    Memory: 8·V² bytes. Raises as :func:`refuse_large`.
    """
    refuse_large(counts.shape[0])
    dense: Tensor = torch.from_numpy(counts.astype(np.float64).toarray())
    return dense.log1p_().to(device)


def spectrum_of(log_counts: Tensor) -> Spectrum:
    """The eigenpairs of D, where it lies. Cost: some 10·V³; memory 4·8·V² bytes.

    Raises:
        NumericalError: the solver failed, on NaN or infinity for instance.
    """
    refuse_large(len(log_counts))
    try:
        return Spectrum(*torch.linalg.eigh(log_counts))
    except RuntimeError as error:  # torch's own class for LAPACK's failures derives from it
        raise NumericalError("the eigenvalues of the log-counts were not found") from error


def derive_k0(
    log_counts: Tensor, epsilon: float = EPSILON, spectrum: Spectrum | None = None
) -> Tensor:
    """k₀ = first row of Q·diag(max(λ, 10⁻¹⁵)^(ε−1))·Qᵀ: float64 (V,), of D (V, V).

    As published, clamp included: entries reach 5·10¹⁴ wherever an eigenvalue is negative. Only
    the row is multiplied out, O(V²) beside :func:`spectrum_of`, where that is not given.
    """
    spectrum = spectrum or spectrum_of(log_counts)
    vectors = spectrum.vectors
    return vectors @ (vectors.select(0, 0) * spectrum.clamped ** (epsilon - 1))


def derive_k0_fft(
    log_counts: Tensor, epsilon: float = EPSILON, spectrum: Spectrum | None = None
) -> Tensor:
    """k₀ = first row of IFFT2(FFT2(D^ε) / FFT2(D)): float64 (V,).

    D^ε has the clamped eigenvalues, and divisors below 10⁻¹⁰ are 10⁻¹⁰, both as published. A
    circular convolution of rows and columns sees token ids as places, so renumbering the tokens
    gives another kernel. Cost: V³ beside :func:`spectrum_of`; memory 3·8·V² bytes beside it.
    """
    spectrum = spectrum or spectrum_of(log_counts)
    vectors = spectrum.vectors
    power = (vectors * spectrum.clamped**epsilon) @ vectors.T
    ratio = torch.fft.rfft2(power).div_(guarded(torch.fft.rfft2(log_counts)))
    # The inverse transform over rows is, for the first row, their mean.
    row: Tensor = torch.fft.irfft(ratio.mean(dim=0), n=len(log_counts))
    return row
