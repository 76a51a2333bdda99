"""PNG files: the same bytes each time, no formula or hidden name, no half-written file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from structinit_core.errors import MissingError
from structinit_core.race.plots import write_plots

HOSTILE = ("$\\frac{$", "_hidden", "<b>\x1b[2J\u202e", "名前", "x" * 500, "\\alpha$x_1$")


def size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.size


def test_two_pictures_of_a_sensible_size(make_result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = write_plots(make_result(), tmp_path)
    assert [path.name for path in written] == ["loss-steps.png", "loss-seconds.png"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert {size(path) for path in written} == {(1200, 750)}


def test_the_same_bytes_again(make_result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first = [path.read_bytes() for path in write_plots(make_result(), tmp_path)]
    again = [path.read_bytes() for path in write_plots(make_result(), tmp_path)]
    assert first == again
    assert first[0] != first[1]
    assert not any(b"Software" in content or b"matplotlib" in content for content in first)


def test_hostile_names_are_drawn_as_they_are(make_result, arm, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_plots(make_result(*(arm(name) for name in HOSTILE)), tmp_path)
    pictures = set()
    for name in ("a", "_a", "$a$", "a\u202e"):
        steps, _ = write_plots(make_result(arm(name)), tmp_path)
        pictures.add(steps.read_bytes())
    assert len(pictures) == 4


def test_incomplete_races(make_result, arm, waiting, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert write_plots(make_result(waiting(), complete=False, references=None), tmp_path) == []
    curve = arm().curve.model_copy(update={"low": None, "high": None})
    one = arm(curve=curve, step_seconds=None)
    written = write_plots(make_result(one, references=None, complete=False), tmp_path)
    assert [path.name for path in written] == ["loss-steps.png"]


def test_no_global_state_of_matplotlib_is_touched(make_result, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    write_plots(make_result(), tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_a_failed_write_keeps_the_old_picture(make_result, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "loss-steps.png").write_text("old")

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="full"):
        write_plots(make_result(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["loss-steps.png"]
    assert (tmp_path / "loss-steps.png").read_text() == "old"


def test_a_missing_matplotlib_is_named(make_result, tmp_path: Path, monkeypatch) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError, match="matplotlib is not installed") as raised:
        write_plots(make_result(), tmp_path)
    assert raised.value.hint == 'pip install "structinit[plot]"'
    assert list(tmp_path.iterdir()) == []
