"""The real transformers model: strict loading, its own start, step-0 loss."""

from structinit_core.model.blocks import Blocks
from structinit_core.model.default import default_tensors
from structinit_core.model.effective import effective_config
from structinit_core.model.gradient import gradient_norm
from structinit_core.model.load import check_config, load_model
from structinit_core.model.loss import forward_loss, token_losses
from structinit_core.model.rotary import rotary_frequencies

__all__ = [
    "Blocks",
    "check_config",
    "default_tensors",
    "effective_config",
    "forward_loss",
    "gradient_norm",
    "load_model",
    "rotary_frequencies",
    "token_losses",
]
