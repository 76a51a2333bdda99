"""``--html``: the page beside the result, whole or not at all, and never over what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from initctl.page import refuse_page, write_page
from structinit_core.diagnose import Report
from structinit_core.errors import UsageError

REPORT = Report(subject="out", checks=())


@pytest.fixture(scope="module")
def built(initctl, counts_path: Path, tiny_config: Path, tmp_path_factory) -> Path:
    """A directory with a checkpoint ``out`` and the page of its build."""
    place = tmp_path_factory.mktemp("html")
    run = initctl(*compiling(tiny_config, counts_path, place, place / "build.html"))
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.decode() == f"{place / 'out'}\n"
    return place


def compiling(config: Path, counts: Path, place: Path, page: Path) -> tuple[object, ...]:
    base = ("closed-form", "--config", config, "--counts", counts, "-o", place / "out")
    return (*base, "--html", page)


def test_the_page_of_a_build_joins_report_and_seconds(built: Path) -> None:
    page = (built / "build.html").read_text(encoding="utf-8")
    for part in ("this checkpoint", "Spectra", "svd: singular values", "Seconds of each stage"):
        assert part in page
    assert sorted(path.name for path in built.iterdir()) == [".out.lock", "build.html", "out"]


def test_the_report_holds_the_spectrum_it_names(built: Path) -> None:
    report = Report.model_validate_json((built / "out" / "report.json").read_text())
    (series,) = report.series
    assert series.name == "svd.singular_values"
    assert len(series.values) == report.value("svd.rank")
    assert series.values[0] == report.value("svd.largest_singular_value")
    assert series.values[-1] == report.value("svd.smallest_singular_value")
    assert list(series.values) == sorted(series.values, reverse=True)


def test_an_up_to_date_run_writes_the_page_and_leaves_the_artifact(
    initctl, built: Path, tiny_config: Path, counts_path: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (built / "out").iterdir()}
    page = tmp_path / "new" / "again.html"
    run = initctl(*compiling(tiny_config, counts_path, built, page), "--json")
    assert json.loads(run.stdout)["up_to_date"]
    assert page.read_bytes() == (built / "build.html").read_bytes()
    assert before == {path: path.stat().st_mtime_ns for path in (built / "out").iterdir()}


def test_diagnose_writes_a_page_beside_its_json(initctl, built: Path, tmp_path: Path) -> None:
    run = initctl("diagnose", built / "out", "--json", "--html", tmp_path / "page.html")
    report = json.loads(run.stdout)
    matrices = [c["tensor"] for c in report["checks"] if c["name"] == "stable_rank"]
    curves = [s["tensor"] for s in report["series"] if s["name"] == "singular_values"]
    assert curves == matrices
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "transformer.h.0.attn.c_attn.weight" in page
    assert "Seconds of each stage" not in page


def test_the_table_ignores_the_series(initctl, built: Path) -> None:
    assert b"singular_values" not in initctl("diagnose", built / "out").stdout


def test_a_crossed_threshold_has_its_page(initctl, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"<b>w": torch.tensor([1.0, torch.nan])}, tmp_path / "nan.safetensors")
    page = tmp_path / "page.html"
    assert initctl("diagnose", tmp_path / "nan.safetensors", "--html", page).returncode == 7
    assert "1 failed" in page.read_text(encoding="utf-8")
    assert "<b>" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["out/page.html", "out/sub/page.html", "out", "link/page.html"])
def test_no_page_inside_the_output(initctl, built: Path, tiny_config, counts_path, name) -> None:
    link = built / "link"
    link.symlink_to("out")
    run = initctl(*compiling(tiny_config, counts_path, built, built / name))
    again = initctl("diagnose", built / "out", "--html", built / name)
    link.unlink()
    for refused in (run, again):
        assert (refused.returncode, b"inside" in refused.stderr) == (2, True), refused.stderr
    assert not (built / "out" / "page.html").exists()


def test_no_page_over_an_input(initctl, built: Path, tmp_path: Path, tiny_config, counts_path):
    config = tmp_path / "config.json"
    config.write_bytes(tiny_config.read_bytes())
    run = initctl(*compiling(config, counts_path, tmp_path, config))
    assert run.returncode == 2
    assert not (tmp_path / "out").exists()
    assert config.read_bytes() == tiny_config.read_bytes()
    weights = built / "out" / "model.safetensors"
    before = weights.read_bytes()
    assert initctl("diagnose", weights, "--html", weights).returncode == 2
    assert weights.read_bytes() == before


def test_a_place_that_is_no_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for page in (tmp_path, tmp_path / "file" / "page.html", Path("/dev/null")):
        with pytest.raises(UsageError, match="cannot be a file"):
            refuse_page(page, [tmp_path / "out"])
    refuse_page(tmp_path / "file", [tmp_path / "out"])
    refuse_page(None, [tmp_path])


def test_a_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="full"):
        write_page(page, REPORT, {})
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text() == "old"


def test_a_link_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "page.html").symlink_to("real/page.html")
    write_page(tmp_path / "page.html", REPORT, {})
    assert (tmp_path / "page.html").is_symlink()
    assert "structinit report" in (tmp_path / "real" / "page.html").read_text()
