"""The real transformers model: strict loading, its own start, its wiring, what it does at step 0.

Each name loads its module on first use: transformers takes seconds to import, and the wiring
seldom needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structinit_core.model.ablation import silenced
    from structinit_core.model.blocks import Blocks
    from structinit_core.model.continuation import next_logits, rows_at_once
    from structinit_core.model.default import default_tensors
    from structinit_core.model.effective import effective_config
    from structinit_core.model.frequency import Bucket, bucket_losses
    from structinit_core.model.gradients import gradient_norm, gradient_norms, tensor_gradients
    from structinit_core.model.induction import (
        Induction,
        induction_losses,
        induction_score,
        repeated_sequences,
    )
    from structinit_core.model.load import check_config, load_model
    from structinit_core.model.loss import forward_loss, mean_loss, token_losses
    from structinit_core.model.rotary import rotary_frequencies
    from structinit_core.model.signal import Boundary, Signal, measure_signal, signal_rows
    from structinit_core.model.wiring import Wiring, read_wiring

_HOMES = {
    "Blocks": "blocks",
    "Boundary": "signal",
    "Bucket": "frequency",
    "Induction": "induction",
    "Signal": "signal",
    "Wiring": "wiring",
    "bucket_losses": "frequency",
    "check_config": "load",
    "default_tensors": "default",
    "effective_config": "effective",
    "forward_loss": "loss",
    "gradient_norm": "gradients",
    "gradient_norms": "gradients",
    "induction_losses": "induction",
    "induction_score": "induction",
    "load_model": "load",
    "mean_loss": "loss",
    "measure_signal": "signal",
    "next_logits": "continuation",
    "read_wiring": "wiring",
    "repeated_sequences": "induction",
    "rotary_frequencies": "rotary",
    "rows_at_once": "continuation",
    "signal_rows": "signal",
    "silenced": "ablation",
    "tensor_gradients": "gradients",
    "token_losses": "loss",
}

__all__ = [
    "Blocks",
    "Boundary",
    "Bucket",
    "Induction",
    "Signal",
    "Wiring",
    "bucket_losses",
    "check_config",
    "default_tensors",
    "effective_config",
    "forward_loss",
    "gradient_norm",
    "gradient_norms",
    "induction_losses",
    "induction_score",
    "load_model",
    "mean_loss",
    "measure_signal",
    "next_logits",
    "read_wiring",
    "repeated_sequences",
    "rotary_frequencies",
    "rows_at_once",
    "signal_rows",
    "silenced",
    "tensor_gradients",
    "token_losses",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
