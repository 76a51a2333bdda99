"""The limit of a linear iteration guessed from its last steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 8
"""Steps from which a limit is guessed: fewer see too little, more are rarely worth their cost."""


class Extrapolation:
    """Steps of an iteration to a distribution, and after every eighth a guess of its limit.

    Memory: 2·WINDOW vectors. Source: reduced rank extrapolation (Eddy 1979; Mešina 1977).
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Floats, Floats]] = []
        self.contraction: float | None = None
        """Modulus of the leading eigenvalue of the step, as the last full window shows it."""

    def __call__(self, before: Floats, after: Floats) -> Floats:
        """Where to go on from: ``after`` the step that began at ``before``, or a better place.

        Float64 (n,). That is the combination of the window's results, its coefficients adding
        up to 1, whose combined change is the least; no entry becomes negative.
        """
        self._steps.append((after, after - before))
        if len(self._steps) < WINDOW:
            return after
        results, changes = zip(*self._steps, strict=True)
        self._steps = []
        inner = np.array([[one @ other for other in changes] for one in changes])
        scale = np.sqrt(np.diag(inner))
        if not scale.all():
            return after
        cosines = inner / np.outer(scale, scale)
        self.contraction = _leading(cosines, scale)
        coefficients = np.linalg.lstsq(cosines, 1 / scale, rcond=1e-13)[0] / scale
        coefficients /= coefficients.sum()
        guess = sum(share * result for share, result in zip(coefficients, results, strict=True))
        kept: Floats = np.where(guess >= 0, guess, after)
        kept /= kept.sum()
        return kept


def _leading(cosines: Floats, scale: Floats) -> float:
    """Largest modulus of the eigenvalues of the step on the span of the changes but the last."""
    growth = scale[1:, None] / scale[None, :-1]
    projected = np.linalg.lstsq(cosines[:-1, :-1], cosines[:-1, 1:], rcond=1e-13)[0]
    return float(np.abs(np.linalg.eigvals(projected * growth.T)).max())
