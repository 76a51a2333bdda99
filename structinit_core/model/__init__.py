"""The real transformers model: strict loading, step-0 loss."""

from structinit_core.model.load import check_config, load_model
from structinit_core.model.loss import forward_loss

__all__ = ["check_config", "forward_loss", "load_model"]
