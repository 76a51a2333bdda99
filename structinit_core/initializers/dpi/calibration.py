"""Phase 6: the gains of a layer's norms, from variances measured while it is made."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from structinit_core.initializers.dpi.settings import Calibration

Run = Callable[[Tensor, float], Tensor]
"""The layer applied to (windows, tokens, d) with both norm gains at the given value."""


def calibrated_gain(rule: Calibration, target: float, run: Run, stream: Tensor) -> float:
    """The gain of both norms of a layer after all rounds, each on windows of its own.

    A gain scales what a branch reads, not the residual stream whose variance is measured: the
    target is reached only where the branches can make up what the stream lacks. The report
    says what was reached. Cost: one pass of the sample where it is measured at the output.
    Source: seed 001, 3.4, and its code.
    """
    gain = 1.0
    parts = [part for part in stream.tensor_split(rule.rounds * rule.batches) if len(part)]
    for low in range(0, len(parts), rule.batches):
        factors = []
        for part in parts[low : low + rule.batches]:
            boundary = run(part, gain) if rule.at_output else part
            factors.append((target / max(float(boundary.var()), 1e-12)) ** 0.5)
        gain *= min(max(sum(factors) / len(factors), rule.low), rule.high)
    return gain
