"""The operator sets a graph can be built from."""

from __future__ import annotations

from structinit_core.errors import UsageError

OPSETS = range(17, 24)
"""17 has LayerNormalization; 23 has Attention, RMSNormalization and RotaryEmbedding."""
DEFAULT_OPSET = 17
"""Of plain operators only, which every runtime and device has."""


def refuse_opset(opset: int) -> None:
    """Refuse an operator set that graphs are not built for.

    Raises:
        UsageError: with those there are.
    """
    if opset not in OPSETS:
        raise UsageError(
            f"operator set {opset} is not supported",
            hint=f"choose one from {OPSETS[0]} to {OPSETS[-1]}",
        )
