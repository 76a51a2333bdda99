"""One public function per command: the whole path from inputs to a published output."""

from structinit_core.recipes.compiling import ClosedFormJob, closed_form, plan
from structinit_core.recipes.counting import CountSource, count_corpus
from structinit_core.recipes.diagnosing import DiagnoseJob, diagnose
from structinit_core.recipes.forecast import Plan

__all__ = [
    "ClosedFormJob",
    "CountSource",
    "DiagnoseJob",
    "Plan",
    "closed_form",
    "count_corpus",
    "diagnose",
    "plan",
]
