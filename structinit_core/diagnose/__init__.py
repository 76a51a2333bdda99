"""Diagnostics: one report schema, static findings of tensors, step-0 loss with references."""

from structinit_core.diagnose.comparison import beside, difference_checks
from structinit_core.diagnose.kernel import kernel_findings
from structinit_core.diagnose.layout import layout_of
from structinit_core.diagnose.losses import bucket_checks, induction_checks, loss_checks
from structinit_core.diagnose.metrics import METRICS
from structinit_core.diagnose.page import report_page
from structinit_core.diagnose.report import Check, Grid, Part, Report, Series
from structinit_core.diagnose.signal import gradient_findings, signal_findings, signal_notes
from structinit_core.diagnose.static import static_findings, static_notes, static_work
from structinit_core.diagnose.thresholds import Rule, judge, parse_rule, read_rules

__all__ = [
    "METRICS",
    "Check",
    "Grid",
    "Part",
    "Report",
    "Rule",
    "Series",
    "beside",
    "bucket_checks",
    "difference_checks",
    "gradient_findings",
    "induction_checks",
    "judge",
    "kernel_findings",
    "layout_of",
    "loss_checks",
    "parse_rule",
    "read_rules",
    "report_page",
    "signal_findings",
    "signal_notes",
    "static_findings",
    "static_notes",
    "static_work",
]
