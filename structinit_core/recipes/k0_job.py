"""What one ``k0`` run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from structinit_core.artifact import Input, Recipe, file_input, read_manifest
from structinit_core.errors import IncompatibleError, UsageError
from structinit_core.initializers.kernel import EPSILON
from structinit_core.recipes.counting import DEFAULT_MEMORY

K0_KIND = "k0"
K0_VERSION = 1


class K0Method(StrEnum):
    """How embeddings come of the log-counts."""

    DERIVE = "derive"
    """k₀ by the clamped inverse power, embeddings by circular convolution: as published."""
    FFT = "fft"
    """The same with k₀ by 2-D circular deconvolution."""
    POWER = "power"
    """Leading positive eigenvectors scaled by a power of their eigenvalues; no k₀."""


@dataclass(frozen=True)
class K0Job:
    """One run on a counts artifact.

    ``window``: largest distance of a pair. ``epsilon`` is of ``derive`` and ``fft``,
    ``spectral_power`` of ``power``. ``dim``: d of the embeddings, 256 or the width of the config
    ``init`` where it is given: that network is then written as a checkpoint, too.
    """

    counts: Path
    method: K0Method = K0Method.POWER
    epsilon: float = EPSILON
    spectral_power: float = 0.5
    dim: int | None = None
    window: int = 5
    init: Path | None = None
    seed: int = 0
    device: str = "cpu"
    memory_bytes: int = DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise UsageError("epsilon must lie between 0 and 1")
        if not 0 <= self.spectral_power <= 1:
            raise UsageError("the spectral power must lie between 0 and 1")
        if self.window < 1 or (self.dim is not None and self.dim < 1):
            raise UsageError("window and dimensions are at least 1")

    def paths(self) -> list[Path]:
        """Every file and directory read."""
        return [self.counts, *([self.init] if self.init else [])]

    def recipe(self, dim: int) -> Recipe:
        """What decides the artifact's bytes."""
        manifest = read_manifest(self.counts)
        if manifest is None:
            raise IncompatibleError("is not a counts artifact", where=str(self.counts))
        inputs = [Input(name="counts", sha256=manifest.content)]
        inputs += [file_input(self.init)] if self.init else []
        of_method = (
            {"spectral_power": self.spectral_power}
            if self.method is K0Method.POWER
            else {"epsilon": self.epsilon}
        )
        params = {"method": self.method.value, "dim": dim, "window": self.window}
        return Recipe(
            kind=K0_KIND,
            version=K0_VERSION,
            params=params | of_method | {"seed": self.seed},
            inputs=tuple(inputs),
        )
