"""Diagnostics: one report schema, static tensor checks, step-0 loss with references."""

from structinit_core.diagnose.losses import loss_checks
from structinit_core.diagnose.report import Check, Report
from structinit_core.diagnose.tensors import spectral_norm, tensor_checks

__all__ = ["Check", "Report", "loss_checks", "spectral_norm", "tensor_checks"]
