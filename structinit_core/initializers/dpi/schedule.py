"""What changes with depth: exponents, shares and targets of each layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from structinit_core.initializers.dpi.settings import Calibration, DpiSettings

_DCT_DECAY = 4.0
_SEMANTIC_CENTRE, _SEMANTIC_WIDTH = 0.5, 0.25
_SHIFTED_ALIGNMENT = 1e-4


@dataclass(frozen=True)
class Depth:
    """Layer ``layer`` of ``layers``: p runs from 0 in the first to 1 in the last."""

    layer: int
    layers: int

    @property
    def p(self) -> float:
        """l/(L−1); 0 for a single layer."""
        return self.layer / (self.layers - 1) if self.layers > 1 else 0.0

    @property
    def arc(self) -> float:
        """The sine of πp: 0 at both ends, 1 in the middle."""
        return math.sin(math.pi * self.p)

    def gamma(self, settings: DpiSettings) -> float:
        """Exponent of the variances: γ₀(1 − dip·sin πp); constant where there are bands."""
        dip = 0.0 if settings.bands else settings.gamma_dip
        return settings.gamma0 * (1 - dip * self.arc)

    def shifted(self, settings: DpiSettings) -> bool:
        """Whether the layer lies past the phase shift, where keys are the values."""
        shift = settings.phase_shift
        return shift is not None and self.layer >= int(shift * self.layers)

    def alignment(self, settings: DpiSettings) -> float:
        """Share of the keys in the queries."""
        if self.shifted(settings):
            return _SHIFTED_ALIGNMENT
        shape = self.arc if settings.align == "arc" else 1 - self.p
        return settings.align_peak * shape

    def syntactic(self, settings: DpiSettings) -> float:
        """Weight of the cosine basis in W1, exp(−4p), against :attr:`semantic`."""
        return math.exp(-_DCT_DECAY * self.p) if settings.dct else 0.0

    @property
    def semantic(self) -> float:
        """Weight of the activations' basis in W1: a bell around mid-depth."""
        return math.exp(-0.5 * ((self.p - _SEMANTIC_CENTRE) / _SEMANTIC_WIDTH) ** 2)

    def target(self, rule: Calibration) -> float:
        """Variance that calibration aims at: 1 + warm·sin(πl/L)."""
        return 1 + rule.warm * math.sin(math.pi * self.layer / self.layers)

    @property
    def band(self) -> int:
        """Technique of pid8 by eighths of the depth: 1 DCT, 2 clusters, 3 basis, 4 outputs, 0."""
        return (1, 1, 2, 2, 3, 3, 4, 0)[self.layer * 8 // self.layers]
