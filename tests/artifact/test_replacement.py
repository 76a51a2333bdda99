"""Replacing an output: the old one stays readable until the new one is there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from structinit_core.artifact import Recipe, is_up_to_date, locked, staged
from structinit_core.errors import InputError


@pytest.fixture
def other(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"params": {"seed": 1}})


def test_the_old_output_is_whole_while_the_new_one_is_made(
    publish, output: Path, recipe: Recipe, other: Recipe, leftovers
) -> None:
    publish(data=b"old", gone=b"old")
    with locked(output), staged(output, other) as work:
        (work / "data").write_bytes(b"new")
        assert is_up_to_date(output, recipe)
        assert (output / "data").read_bytes() == b"old"
    assert is_up_to_date(output, other)
    assert not is_up_to_date(output, recipe)
    assert (output / "data").read_bytes() == b"new"
    assert not (output / "gone").exists()
    assert leftovers() == []


def test_a_failed_run_keeps_the_old_output(
    publish, output: Path, recipe: Recipe, other: Recipe, leftovers
) -> None:
    publish(data=b"old")

    def fail() -> None:
        with locked(output), staged(output, other) as work:
            (work / "data").write_bytes(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert is_up_to_date(output, recipe)
    assert (output / "data").read_bytes() == b"old"
    assert leftovers() == []


def test_a_failed_rename_keeps_the_old_output(
    publish, output: Path, recipe: Recipe, other: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(data=b"old")
    rename = os.rename

    def fail_into_place(source: Path, target: Path) -> None:
        if Path(target) == output and ".tmp-" in Path(source).name:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_into_place)
    with pytest.raises(InputError, match="Input/output"):
        publish(other, data=b"new")
    assert is_up_to_date(output, recipe)


def test_an_empty_directory_is_replaced(publish, output: Path, recipe: Recipe) -> None:
    output.mkdir()
    publish()
    assert is_up_to_date(output, recipe)


def test_missing_parents_are_made(tmp_path: Path, recipe: Recipe) -> None:
    output = tmp_path / "a" / "b" / "out"
    with locked(output), staged(output, recipe):
        pass
    assert is_up_to_date(output, recipe)
