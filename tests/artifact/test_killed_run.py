"""What ``kill -9`` leaves is never taken for a result, and the next run clears it away."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from structinit_core.artifact import Recipe, is_up_to_date, locked

DEMO = Recipe(kind="demo", version=1, params={"by": "killed run"}, inputs=())
RUN = """
import os, signal, sys
from pathlib import Path
from structinit_core.artifact import Recipe, locked, staged

output, moment = Path(sys.argv[1]), sys.argv[2]
recipe = Recipe(kind="demo", version=1, params={"by": "killed run"}, inputs=())
rename = os.rename

def die_after_rename(source, target):
    rename(source, target)
    os.kill(os.getpid(), signal.SIGKILL)

with locked(output), staged(output, recipe) as work:
    (work / "half").write_bytes(b"x" * 1000)
    if moment == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    os.rename = die_after_rename
"""


def die(output: Path, moment: str) -> None:
    killed = subprocess.run([sys.executable, "-c", RUN, str(output), moment], check=False)
    assert killed.returncode == -signal.SIGKILL


def test_death_while_writing_leaves_no_output(
    publish, output: Path, recipe: Recipe, leftovers
) -> None:
    die(output, "writing")
    assert not output.exists()
    assert leftovers() != []
    publish()
    assert is_up_to_date(output, recipe)
    assert leftovers() == []


def test_death_while_writing_keeps_the_old_output(publish, output: Path, recipe: Recipe) -> None:
    publish()
    die(output, "writing")
    assert is_up_to_date(output, recipe)


def test_death_between_the_two_renames_is_undone(
    publish, output: Path, recipe: Recipe, leftovers
) -> None:
    publish()
    die(output, "renaming")
    assert not output.exists()
    with locked(output):
        assert is_up_to_date(output, recipe)
    assert leftovers() == []


def test_death_after_the_rename_is_a_finished_run(output: Path, leftovers) -> None:
    die(output, "renaming")
    assert is_up_to_date(output, DEMO)
    with locked(output):
        assert is_up_to_date(output, DEMO)
    assert leftovers() == []


def test_leftovers_of_an_earlier_run_are_removed(publish, output: Path, leftovers) -> None:
    publish(data=b"mine")
    for name in (".out.tmp-ab_9cdef", ".out.old-1"):
        (output.parent / name / "deep").mkdir(parents=True)
        (output.parent / name / "deep" / "data").write_bytes(b"stale")
    with locked(output):
        assert leftovers() == []
    assert (output / "data").read_bytes() == b"mine"


def test_an_old_output_without_a_new_one_is_put_back(publish, output: Path, recipe, leftovers):
    publish(data=b"mine")
    output.rename(output.parent / ".out.old-1")
    with locked(output):
        assert is_up_to_date(output, recipe)
        assert leftovers() == []


@pytest.mark.parametrize("name", ["out[1]", "out*", "what?"])
def test_a_name_that_looks_like_a_pattern_is_recovered_too(
    tmp_path: Path, recipe: Recipe, name: str
) -> None:
    stale = tmp_path / f".{name}.tmp-abcd1234"
    stale.mkdir()
    with locked(tmp_path / name):
        assert not stale.exists()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("out", ".out.tmp-2.tmp-abcd1234"), ("out*", ".outer.tmp-abcd1234"), ("out", ".out.old-days")],
)
def test_the_work_of_another_output_is_left_alone(tmp_path: Path, name: str, theirs: str) -> None:
    work = tmp_path / theirs
    work.mkdir()
    with locked(tmp_path / name):
        assert work.exists()


def test_a_link_beside_the_output_is_not_followed(output: Path, publish) -> None:
    publish()
    elsewhere = output.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"x")
    (output.parent / ".out.tmp-abcd1234").symlink_to(elsewhere)
    (output.parent / ".out.old-1").symlink_to(elsewhere)
    with locked(output):
        assert (elsewhere / "precious").exists()
