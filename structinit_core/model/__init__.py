"""The real transformers model: strict loading, its own start, its wiring, step-0 loss.

Each name loads its module on first use: transformers takes seconds to import, and the wiring
seldom needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structinit_core.model.blocks import Blocks
    from structinit_core.model.default import default_tensors
    from structinit_core.model.effective import effective_config
    from structinit_core.model.gradient import gradient_norm
    from structinit_core.model.induction import induction_score
    from structinit_core.model.load import check_config, load_model
    from structinit_core.model.loss import forward_loss, token_losses
    from structinit_core.model.rotary import rotary_frequencies
    from structinit_core.model.wiring import Wiring, read_wiring

_HOMES = {
    "Blocks": "blocks",
    "Wiring": "wiring",
    "check_config": "load",
    "default_tensors": "default",
    "effective_config": "effective",
    "forward_loss": "loss",
    "gradient_norm": "gradient",
    "induction_score": "induction",
    "load_model": "load",
    "read_wiring": "wiring",
    "rotary_frequencies": "rotary",
    "token_losses": "loss",
}

__all__ = [
    "Blocks",
    "Wiring",
    "check_config",
    "default_tensors",
    "effective_config",
    "forward_loss",
    "gradient_norm",
    "induction_score",
    "load_model",
    "read_wiring",
    "rotary_frequencies",
    "token_losses",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
