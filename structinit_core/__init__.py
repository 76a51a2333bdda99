"""structinit: starting checkpoints that are computed instead of drawn at random.

The names below are the public library; each loads its room on first use, so that importing
the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structinit_core.blueprint import make_blueprint, read_config
    from structinit_core.checkpoint import load_paired_views, read_tensors
    from structinit_core.cooc import KneserNey, open_counts
    from structinit_core.corpus import Border
    from structinit_core.diagnose import Report, report_page
    from structinit_core.errors import StructinitError
    from structinit_core.initializers.paired_views import solve_views
    from structinit_core.progress import Progress
    from structinit_core.race import (
        K0Table4Protocol,
        RaceJob,
        RaceProtocol,
        RaceResult,
        parse_arms,
        race_starts,
        reproduce_k0_table4,
    )
    from structinit_core.recipes.cluster import count_on_cluster
    from structinit_core.recipes.compile_job import ClosedFormJob
    from structinit_core.recipes.compiling import closed_form
    from structinit_core.recipes.count_source import CountSource
    from structinit_core.recipes.counting import count_corpus
    from structinit_core.recipes.diagnose_job import DiagnoseJob
    from structinit_core.recipes.diagnosing import diagnose_checkpoint
    from structinit_core.recipes.dpi import dpi_init
    from structinit_core.recipes.dpi_job import DpiJob
    from structinit_core.recipes.dpi_plan import plan_dpi
    from structinit_core.recipes.exporting import (
        ExportFormat,
        ExportJob,
        export_checkpoint,
        plan_export,
    )
    from structinit_core.recipes.k0 import k0, plan_k0
    from structinit_core.recipes.k0_job import K0Job, K0Method
    from structinit_core.recipes.merging import merge_counts
    from structinit_core.recipes.paired_views import PairedViewsJob, fit_paired_views
    from structinit_core.recipes.querying import QueryJob, query_graph
    from structinit_core.recipes.solve_plan import Plan, plan

__version__ = "0.1.0"

_HOMES = {
    "Border": "corpus",
    "ClosedFormJob": "recipes.compile_job",
    "CountSource": "recipes.count_source",
    "DiagnoseJob": "recipes.diagnose_job",
    "DpiJob": "recipes.dpi_job",
    "ExportFormat": "recipes.exporting",
    "ExportJob": "recipes.exporting",
    "K0Job": "recipes.k0_job",
    "K0Method": "recipes.k0_job",
    "K0Table4Protocol": "race",
    "KneserNey": "cooc",
    "PairedViewsJob": "recipes.paired_views",
    "Plan": "recipes.solve_plan",
    "Progress": "progress",
    "QueryJob": "recipes.querying",
    "RaceJob": "race",
    "RaceProtocol": "race",
    "RaceResult": "race",
    "Report": "diagnose",
    "StructinitError": "errors",
    "closed_form": "recipes.compiling",
    "count_corpus": "recipes.counting",
    "count_on_cluster": "recipes.cluster",
    "diagnose_checkpoint": "recipes.diagnosing",
    "dpi_init": "recipes.dpi",
    "export_checkpoint": "recipes.exporting",
    "fit_paired_views": "recipes.paired_views",
    "k0": "recipes.k0",
    "load_paired_views": "checkpoint",
    "make_blueprint": "blueprint",
    "merge_counts": "recipes.merging",
    "open_counts": "cooc",
    "parse_arms": "race",
    "plan": "recipes.solve_plan",
    "plan_dpi": "recipes.dpi_plan",
    "plan_export": "recipes.exporting",
    "plan_k0": "recipes.k0",
    "query_graph": "recipes.querying",
    "race_starts": "race",
    "read_config": "blueprint",
    "read_tensors": "checkpoint",
    "report_page": "diagnose",
    "reproduce_k0_table4": "race",
    "solve_views": "initializers.paired_views",
}

__all__ = [
    "Border",
    "ClosedFormJob",
    "CountSource",
    "DiagnoseJob",
    "DpiJob",
    "ExportFormat",
    "ExportJob",
    "K0Job",
    "K0Method",
    "K0Table4Protocol",
    "KneserNey",
    "PairedViewsJob",
    "Plan",
    "Progress",
    "QueryJob",
    "RaceJob",
    "RaceProtocol",
    "RaceResult",
    "Report",
    "StructinitError",
    "closed_form",
    "count_corpus",
    "count_on_cluster",
    "diagnose_checkpoint",
    "dpi_init",
    "export_checkpoint",
    "fit_paired_views",
    "k0",
    "load_paired_views",
    "make_blueprint",
    "merge_counts",
    "open_counts",
    "parse_arms",
    "plan",
    "plan_dpi",
    "plan_export",
    "plan_k0",
    "query_graph",
    "race_starts",
    "read_config",
    "read_tensors",
    "report_page",
    "reproduce_k0_table4",
    "solve_views",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
