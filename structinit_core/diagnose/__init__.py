"""Diagnostics: one report schema, static tensor checks, step-0 loss with references."""

from structinit_core.diagnose.losses import loss_checks
from structinit_core.diagnose.page import report_page
from structinit_core.diagnose.report import Check, Report, Series
from structinit_core.diagnose.tensors import spectral_norm, tensor_findings

__all__ = [
    "Check",
    "Report",
    "Series",
    "loss_checks",
    "report_page",
    "spectral_norm",
    "tensor_findings",
]
