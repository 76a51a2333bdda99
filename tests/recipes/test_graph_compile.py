"""A graph from link lists to a checkpoint whose report says what it is worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from structinit_core.errors import LimitError, UsageError
from structinit_core.graph import LinkSource
from structinit_core.linalg import generator
from structinit_core.recipes import graph_report
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob

FAMILY = Path(__file__).parents[2] / "fixtures/graphs/family.tsv"
SIZES = {"width": 192, "heads": 4, "layers": 2}


def _figures(directory: Path) -> dict[str, float]:
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    return {check["name"]: check["value"] for check in report["checks"]}


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Links to compile, links to score on, and one more true link; one names a stranger."""
    rows = FAMILY.read_text(encoding="utf-8").splitlines()
    scored, true = rows[5::7], rows[6:7]
    others = [row for row in rows if row not in {*scored, *true}]
    files = tmp_path / "links.tsv", tmp_path / "test.tsv", tmp_path / "valid.tsv"
    parts = (others, [*scored, "ada\tmother_of\tzoe"], true)
    for file, part in zip(files, parts, strict=True):
        file.write_text("\n".join(part) + "\n", encoding="utf-8")
    return files


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_report_ranks_what_was_held_out(split, tmp_path: Path, family: str) -> None:
    links, test, valid = split
    job = GraphCompileJob(
        LinkSource([links]), holdout=test, also_true=(valid,), family=family, **SIZES
    )
    assert graph_compile(job, tmp_path / "out")
    figures = _figures(tmp_path / "out")
    assert figures["recall"] == 1
    assert figures["facts.of_graph"] == 1
    assert figures["links.lacking"] == 1
    assert figures["links.held_out"] == len(test.read_text(encoding="utf-8").splitlines())
    assert figures["mrr"] < figures["mrr.known_names"]
    assert figures["mrr.known_names"] > 2 / figures["particles"]
    assert figures["ablation.whole.mrr"] == pytest.approx(figures["mrr.known_names"])
    assert figures["ablation.codes.mrr"] < figures["ablation.whole.mrr"]
    assert figures["loss.link.uniform"] > 0 < figures["loss.walk.exact_graph"]


def test_a_share_that_is_held_out_is_not_compiled(tmp_path: Path) -> None:
    job = GraphCompileJob(LinkSource([FAMILY]), holdout=0.3, predict=False, **SIZES)
    graph_compile(job, tmp_path / "out")
    figures = _figures(tmp_path / "out")
    rows = len(FAMILY.read_text(encoding="utf-8").splitlines())
    assert figures["links"] + figures["links.held_out"] == rows
    assert figures["facts.stored"] == 2 * figures["links"]
    assert figures["objects.predicted"] == 0


def test_only_the_most_valuable_keys_fit(tmp_path: Path) -> None:
    job = GraphCompileJob(LinkSource([FAMILY]), keys=5, **SIZES)
    graph_compile(job, tmp_path / "out")
    figures = _figures(tmp_path / "out")
    assert figures["keys"] == 5
    assert 0 < figures["facts.of_graph"] < 0.5
    assert figures["recall"] == 1


def test_what_is_too_large_is_refused_before_it_is_made(tmp_path: Path) -> None:
    job = GraphCompileJob(LinkSource([FAMILY]), memory_bytes=1 << 20, **SIZES)
    with pytest.raises(LimitError, match="parameters needs about"):
        graph_compile(job, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_true_links_need_some_to_rank() -> None:
    with pytest.raises(UsageError, match="held-out"):
        GraphCompileJob(LinkSource([FAMILY]), also_true=(FAMILY,))


def test_a_narrow_model_of_many_particles_recalls_what_it_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, links = generator(0, "narrow"), 3000
    subject, object_ = (np.minimum(draw.zipf(1.5, links), 4000) for _ in range(2))
    spread = draw.permutation(2 * links) < links
    ends = np.where(spread, draw.integers(0, 4000, 2 * links), np.append(subject, object_))
    rows = [f"p{ends[i]}\tr{i % 3}\tp{ends[links + i]}" for i in range(links)]
    (tmp_path / "links.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    monkeypatch.setattr(graph_report, "_LOGITS", 1 << 20)
    job = GraphCompileJob(LinkSource([tmp_path / "links.tsv"]), width=128, heads=4, layers=2)
    graph_compile(job, tmp_path / "out")
    figures = _figures(tmp_path / "out")
    assert figures["recall"] > 0.99
    assert figures["recall.facts"] < figures["facts.stored"]
    assert 0.5 < figures["facts.of_graph"] < 1 < figures["facts.per_unit"]
    assert figures["paths.links"] == figures["objects.predicted"] == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert any("stored facts are drawn" in note for note in report["notes"])
