"""What graph-compile forecasts, and what it refuses before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.errors import LimitError
from structinit_core.graph import LinkSource
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_plan import plan_graph

FAMILY = Path(__file__).parents[2] / "fixtures" / "graphs" / "family.tsv"


def test_the_plan_is_of_what_is_written(tmp_path: Path) -> None:
    job = GraphCompileJob(LinkSource([FAMILY]), width=128, predict=False)
    plan = plan_graph(job)
    assert plan.fits
    assert {"particles", "diameter"} <= {each.name.split(".")[0] for each in plan.statistics}
    assert graph_compile(job, tmp_path / "out")
    written = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert written == pytest.approx(plan.checkpoint_bytes, rel=0.01)


def test_too_little_memory_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    job = GraphCompileJob(LinkSource([FAMILY]), width=128, memory_bytes=1 << 20)
    assert not plan_graph(job).fits
    with pytest.raises(LimitError, match="needs about"):
        graph_compile(job, tmp_path / "out")
    assert not (tmp_path / "out").exists()
