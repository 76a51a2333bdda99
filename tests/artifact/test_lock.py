"""One run at a time writes an output; the lock dies with its process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from structinit_core.artifact import locked
from structinit_core.errors import InputError, LockedError, UsageError

HOLD = """
import sys
from pathlib import Path
from structinit_core.artifact import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``output``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_told_to_try_later(holder, output: Path) -> None:
    with pytest.raises(LockedError) as caught, locked(output):
        pass
    assert caught.value.exit_code == 75
    assert caught.value.where == str(output)
    assert caught.value.hint


def test_a_held_lock_protects_the_work_beside_the_output(holder, output: Path) -> None:
    work = output.parent / ".out.tmp-theirs"
    work.mkdir()
    with pytest.raises(LockedError), locked(output):
        pass
    assert work.exists()


def test_the_lock_of_a_killed_process_is_free(holder, output: Path) -> None:
    holder.kill()
    holder.wait()
    with locked(output):
        pass


def test_other_outputs_are_not_locked(holder, output: Path) -> None:
    with locked(output.with_name("other")):
        pass


def test_a_lock_can_be_taken_again(output: Path) -> None:
    for _ in range(2):
        with locked(output):
            pass
    with pytest.raises(RuntimeError), locked(output):
        raise RuntimeError
    with locked(output):
        pass


def test_within_one_process_the_lock_holds_too(output: Path) -> None:
    with locked(output), pytest.raises(LockedError), locked(output):
        pass


@pytest.mark.parametrize("name", [".", "..", "sub/..", "/"])
def test_a_directory_one_stands_in_is_no_output(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught, locked(Path(name)):
        pass
    assert caught.value.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sub"]


def test_a_parent_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        pass
