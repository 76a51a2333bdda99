"""One public function per command: the whole path from inputs to a published output."""

from structinit_core.recipes.compiling import ClosedFormJob, closed_form, plan
from structinit_core.recipes.counting import DEFAULT_MEMORY, CountSource, count_corpus
from structinit_core.recipes.diagnosing import DiagnoseJob, diagnose_checkpoint
from structinit_core.recipes.forecast import CountPlan, Plan, plan_counting

__all__ = [
    "DEFAULT_MEMORY",
    "ClosedFormJob",
    "CountPlan",
    "CountSource",
    "DiagnoseJob",
    "Plan",
    "closed_form",
    "count_corpus",
    "diagnose_checkpoint",
    "plan",
    "plan_counting",
]
