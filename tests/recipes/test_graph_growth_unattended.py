"""Growth without anybody looking: locks, whole outputs, reports and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from structinit_core.artifact import locked, read_manifest
from structinit_core.errors import IncompatibleError, LockedError, StructinitError, UsageError
from structinit_core.graph import LinkSource
from structinit_core.recipes import graph_compile as recipe
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob
from structinit_core.recipes.graph_plan import plan_graph

FAMILY = Path(__file__).parents[2] / "fixtures/graphs/family.tsv"
GRAPH = "structinit_core.initializers.graph"
MORE = "gus\tmarried_to\tzoe\n"


def figures(directory: Path) -> dict[str, object]:
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    return {check["name"]: check["value"] for check in report["checks"]}


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A list of links that a test may make longer."""
    path = tmp_path / "links.tsv"
    path.write_text(FAMILY.read_text())
    return path


def job_of(links: Path, since: Path | None, **options: object) -> GraphCompileJob:
    sizes = {"width": 192, "heads": 4, "layers": 2, "predict": False, "full_beyond": 2.0}
    return GraphCompileJob(LinkSource([links]), since=since, **(sizes | options))


def grow(links: Path) -> None:
    links.write_text(links.read_text() + MORE)


def test_one_run_at_a_time(links: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked(out), pytest.raises(LockedError):
        graph_compile(job_of(links, out), out)
    assert not out.exists()


def test_what_fails_half_way_leaves_the_checkpoint_as_it_was(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    graph_compile(job_of(links, out), out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    grow(links)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(recipe, "save_growth", full_disk)
        with pytest.raises(StructinitError):
            graph_compile(job_of(links, out), out)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} <= {"links.tsv", "out", ".out.lock"}
    assert graph_compile(job_of(links, out), out)
    assert figures(out)["growth"] == "increment"


def test_another_output_follows_the_checkpoint_it_is_made_from(links: Path, tmp_path: Path) -> None:
    previous, out = tmp_path / "previous", tmp_path / "out"
    graph_compile(job_of(links, None), previous)
    grow(links)
    assert graph_compile(job_of(links, previous), out)
    assert not graph_compile(job_of(links, previous), out)
    graph_compile(job_of(links, previous, fold_in="neighbours"), out)
    assert read_manifest(out).recipe.params["since"]["fold_in"] == "neighbours"
    assert graph_compile(job_of(links, previous), previous)
    assert graph_compile(job_of(links, previous, fold_in="neighbours"), out)


def test_a_checkpoint_replaced_meanwhile_is_not_gone_on_from(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous, out = tmp_path / "previous", tmp_path / "out"
    graph_compile(job_of(links, None), previous)
    grow(links)
    write = recipe.save_growth

    def meanwhile(*arguments: object) -> None:
        write(*arguments)
        monkeypatch.setattr(recipe, "save_growth", write)
        graph_compile(job_of(links, None, seed=1), previous)

    monkeypatch.setattr(recipe, "save_growth", meanwhile)
    with pytest.raises(IncompatibleError, match="changed while it was read"):
        graph_compile(job_of(links, previous), out)
    assert not out.exists()


def test_an_increment_is_scored_as_a_full_compilation_is(links: Path, tmp_path: Path) -> None:
    rows = links.read_text().splitlines(keepends=True)
    held = tmp_path / "held.tsv"
    held.write_text("".join(rows[5::7]))
    links.write_text("".join(row for row in rows if row not in rows[5::7]))
    out, full = tmp_path / "out", tmp_path / "full"
    graph_compile(job_of(links, out, holdout=held), out)
    grow(links)
    graph_compile(job_of(links, out, holdout=held, onnx=True), out)
    graph_compile(job_of(links, None, holdout=held), full)
    grown, whole = figures(out), figures(full)
    assert grown["growth"] == "increment"
    assert {name for name in grown if not name.startswith("growth")} == set(whole)
    assert grown["recall"] == whole["recall"] == 1
    assert grown["facts.stored"] == whole["facts.stored"] == 2 * whole["links"]
    assert grown["objects.predicted"] == whole["objects.predicted"] == 0
    assert grown["mrr"] == pytest.approx(whole["mrr"], abs=0.05)
    assert (out / "model.onnx").is_file()


def test_held_out_shares_grow_with_the_links(links: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    graph_compile(job_of(links, out, holdout=0.3), out)
    before = figures(out)["links.held_out"]
    grow(links)
    graph_compile(job_of(links, out, holdout=0.3), out)
    assert figures(out)["growth"] == "increment"
    assert 0 <= figures(out)["links.held_out"] - before <= 1


def test_what_does_not_go_with_growth_is_refused(links: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a published version does not grow"):
        replace(job_of(links, tmp_path / "out", predict=True), faithful="v3")
    with pytest.raises(UsageError, match="what is planned is a full compilation"):
        plan_graph(job_of(links, tmp_path / "out"))


def test_a_key_whose_unit_does_not_fire_is_left_out(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    modules = [import_module(f"{GRAPH}.{name}") for name in ("storing", "grow")]
    met = modules[0].met

    def deaf(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        states, passed = met(*arguments)
        passed[-1] = 0
        return states, passed

    for module in modules:
        monkeypatch.setattr(module, "met", deaf)
    graph_compile(job_of(links, out), out)
    full = figures(out)
    assert full["keys.left_out"] == 1
    assert 0 < full["facts.stored"] < 2 * full["links"]
    assert full["recall"] == 1
    grow(links)
    graph_compile(job_of(links, out), out)
    grown = figures(out)
    assert (grown["growth"], grown["keys.left_out"]) == ("increment", 1)
    assert grown["keys"] == full["keys"] + grown["growth.keys"]
    assert grown["recall"] == 1
