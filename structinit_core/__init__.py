"""structinit: starting checkpoints that are computed instead of drawn at random.

The names below are the public library; each loads its room on first use, so that importing
the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structinit_core.blueprint import make_blueprint, read_config
    from structinit_core.checkpoint import read_tensors
    from structinit_core.cooc import KneserNey, open_counts
    from structinit_core.corpus import Border
    from structinit_core.diagnose import Report, report_page
    from structinit_core.errors import StructinitError
    from structinit_core.progress import Progress
    from structinit_core.race import RaceJob, RaceProtocol, RaceResult, parse_arms, race_starts
    from structinit_core.recipes.cluster import count_on_cluster
    from structinit_core.recipes.compiling import ClosedFormJob, closed_form, plan
    from structinit_core.recipes.counting import CountSource, count_corpus
    from structinit_core.recipes.diagnose_job import DiagnoseJob
    from structinit_core.recipes.diagnosing import diagnose_checkpoint
    from structinit_core.recipes.exporting import (
        ExportFormat,
        ExportJob,
        export_checkpoint,
        plan_export,
    )
    from structinit_core.recipes.merging import merge_counts
    from structinit_core.recipes.solve_plan import Plan

__version__ = "0.1.0"

_HOMES = {
    "Border": "corpus",
    "ClosedFormJob": "recipes.compiling",
    "CountSource": "recipes.counting",
    "DiagnoseJob": "recipes.diagnose_job",
    "ExportFormat": "recipes.exporting",
    "ExportJob": "recipes.exporting",
    "KneserNey": "cooc",
    "Plan": "recipes.solve_plan",
    "Progress": "progress",
    "RaceJob": "race",
    "RaceProtocol": "race",
    "RaceResult": "race",
    "Report": "diagnose",
    "StructinitError": "errors",
    "closed_form": "recipes.compiling",
    "count_corpus": "recipes.counting",
    "count_on_cluster": "recipes.cluster",
    "diagnose_checkpoint": "recipes.diagnosing",
    "export_checkpoint": "recipes.exporting",
    "make_blueprint": "blueprint",
    "merge_counts": "recipes.merging",
    "open_counts": "cooc",
    "parse_arms": "race",
    "plan": "recipes.compiling",
    "plan_export": "recipes.exporting",
    "race_starts": "race",
    "read_config": "blueprint",
    "read_tensors": "checkpoint",
    "report_page": "diagnose",
}

__all__ = [
    "Border",
    "ClosedFormJob",
    "CountSource",
    "DiagnoseJob",
    "ExportFormat",
    "ExportJob",
    "KneserNey",
    "Plan",
    "Progress",
    "RaceJob",
    "RaceProtocol",
    "RaceResult",
    "Report",
    "StructinitError",
    "closed_form",
    "count_corpus",
    "count_on_cluster",
    "diagnose_checkpoint",
    "export_checkpoint",
    "make_blueprint",
    "merge_counts",
    "open_counts",
    "parse_arms",
    "plan",
    "plan_export",
    "race_starts",
    "read_config",
    "read_tensors",
    "report_page",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
