"""The published schema is the model's, and every name that is measured is documented."""

from __future__ import annotations

import json
from pathlib import Path

import torch

import structinit_core.diagnose
from structinit_core.diagnose import METRICS, Report

SCHEMA = Path(structinit_core.diagnose.__file__).parent / "report-1.schema.json"


def test_the_published_schema_is_the_report_s() -> None:
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert published == Report.model_json_schema(by_alias=True)
    assert published["properties"]["schema"]["const"] == "structinit/report/1"


def test_every_check_has_its_meaning(examine) -> None:
    draw = torch.randn(80, 60, generator=torch.Generator().manual_seed(0))
    report = examine({"a": draw, "b": draw, "c": torch.full((2,), torch.nan)})
    assert {check.name for check in report.checks} <= METRICS.keys()
    assert {"alpha", "duplicate_of", "nan", "mp_distance"} <= {c.name for c in report.checks}
