"""What a killed run had finished is taken up by the next one; nothing else of it is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from structinit_core.artifact import Recipe, is_up_to_date, locked, read_manifest, resumable
from structinit_core.errors import InputError

RUN = """
import os, signal, sys
from pathlib import Path
from structinit_core.artifact import Recipe, locked, resumable

recipe = Recipe(kind="demo", version=1, params={"seed": int(sys.argv[2])}, inputs=())
output = Path(sys.argv[1])
with locked(output), resumable(output, recipe, {}) as run:
    (run.work / "one").write_bytes(b"finished")
    (run.kept / "state").write_bytes(b"state")
    run.note({"file": "one", "sha256": None})
    (run.work / "two").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def seeded(seed: int) -> Recipe:
    return Recipe(kind="demo", version=1, params={"seed": seed}, inputs=())


def die(output: Path, seed: int = 0) -> None:
    run = subprocess.run([sys.executable, "-c", RUN, str(output), str(seed)], check=False)
    assert run.returncode == -signal.SIGKILL


def fail(output: Path, error: BaseException) -> None:
    with locked(output), resumable(output, seeded(0), {}) as run:
        (run.work / "one").write_bytes(b"x")
        run.note({"file": "one"})
        raise error


def test_finished_files_and_state_survive_and_the_rest_goes(output: Path, leftovers) -> None:
    die(output)
    assert not output.exists()
    with locked(output), resumable(output, seeded(0), {}) as run:
        assert [entry["file"] for entry in run.entries] == ["one"]
        assert [path.name for path in run.work.iterdir()] == ["one"]
        assert (run.kept / "state").read_bytes() == b"state"
        (run.work / "two").write_bytes(b"whole")
    assert is_up_to_date(output, seeded(0))
    manifest = read_manifest(output)
    assert manifest is not None
    assert set(manifest.files) == {"one", "two"}
    assert leftovers() == []
    assert not (output.parent / ".out.part").exists()


def test_another_recipe_begins_anew(output: Path) -> None:
    die(output)
    with locked(output), resumable(output, seeded(1), {}) as run:
        assert run.entries == []
        assert list(run.work.iterdir()) == list(run.kept.iterdir()) == []
        (run.work / "one").write_bytes(b"other")
    assert (output / "one").read_bytes() == b"other"


def test_an_expected_failure_leaves_nothing(output: Path) -> None:
    with pytest.raises(InputError):
        fail(output, InputError("bad"))
    assert [path.name for path in output.parent.iterdir()] == [".out.lock"]


def test_an_interruption_keeps_what_was_finished(output: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(output, KeyboardInterrupt())
    with locked(output), resumable(output, seeded(0), {}) as run:
        assert [entry["file"] for entry in run.entries] == ["one"]


def test_the_old_output_stays_until_the_new_one_is_whole(output: Path, publish) -> None:
    publish(data=b"old")
    die(output)
    assert (output / "data").read_bytes() == b"old"
    with locked(output), resumable(output, seeded(0), {}):
        assert (output / "data").read_bytes() == b"old"
    assert (output / "one").read_bytes() == b"finished"


def test_a_link_in_its_place_is_not_followed(output: Path) -> None:
    elsewhere = output.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "key").write_text(seeded(0).key)
    (elsewhere / "precious").write_bytes(b"x")
    (output.parent / ".out.part").symlink_to(elsewhere)
    with locked(output), resumable(output, seeded(0), {}):
        pass
    assert (elsewhere / "precious").read_bytes() == b"x"
    assert output.is_dir()
