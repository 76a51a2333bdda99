"""``k0``: the spectral kernel of log-counts as published, and the eigenvectors that stay honest."""

from structinit_core.initializers.kernel.circulant import (
    circulant,
    circulant_score,
    convolved,
    deconvolved,
)
from structinit_core.initializers.kernel.control import Likeness, likeness, untrained
from structinit_core.initializers.kernel.derive import (
    DENSE_VOCABULARY,
    EPSILON,
    Spectrum,
    derive_k0,
    derive_k0_fft,
    log_cooccurrence,
    refuse_large,
    spectrum_of,
)
from structinit_core.initializers.kernel.embeddings import (
    WINDOW,
    kernel_embeddings,
    training_free_embeddings,
)
from structinit_core.initializers.kernel.spectral import SpectralEmbeddings, spectral_embeddings
from structinit_core.initializers.kernel.start import Placed, place_embeddings, refuse_untied

__all__ = [
    "DENSE_VOCABULARY",
    "EPSILON",
    "WINDOW",
    "Likeness",
    "Placed",
    "SpectralEmbeddings",
    "Spectrum",
    "circulant",
    "circulant_score",
    "convolved",
    "deconvolved",
    "derive_k0",
    "derive_k0_fft",
    "kernel_embeddings",
    "likeness",
    "log_cooccurrence",
    "place_embeddings",
    "refuse_large",
    "refuse_untied",
    "spectral_embeddings",
    "spectrum_of",
    "training_free_embeddings",
    "untrained",
]
