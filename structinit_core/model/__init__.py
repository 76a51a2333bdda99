"""The real transformers model: strict loading, step-0 loss."""

from structinit_core.model.load import load_model
from structinit_core.model.loss import forward_loss

__all__ = ["forward_loss", "load_model"]
