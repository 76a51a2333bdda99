"""What a run may replace: its own kind of output, and nothing it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.artifact import MANIFEST, Recipe, refuse_foreign, refuse_overlap
from structinit_core.errors import IncompatibleError, UsageError

both = pytest.mark.parametrize("force", [False, True])


def refuse(output: Path, force: bool, *inputs: Path, kind: str = "demo") -> None:
    refuse_overlap(output, inputs)
    refuse_foreign(output, kind, force)


@both
def test_missing_empty_and_own_outputs_may_be_replaced(publish, output: Path, force: bool) -> None:
    refuse(output, force)
    output.mkdir()
    refuse(output, force)
    publish()
    refuse(output, force)


def test_an_older_version_of_the_same_kind_may_be_replaced(publish, recipe: Recipe) -> None:
    refuse(publish(recipe.model_copy(update={"version": 99})), False)


def test_another_kind_is_replaced_by_force_only(publish) -> None:
    output = publish()
    with pytest.raises(IncompatibleError, match="demo") as caught:
        refuse(output, False, kind="other")
    assert caught.value.hint is not None
    assert "--force" in caught.value.hint
    refuse(output, True, kind="other")


@pytest.mark.parametrize("name", ["thesis.tex", MANIFEST])
def test_a_foreign_directory_is_replaced_by_force_only(output: Path, name: str) -> None:
    output.mkdir()
    (output / name).write_text("{}")
    with pytest.raises(IncompatibleError) as caught:
        refuse(output, False)
    assert str(output) in str(caught.value)
    refuse(output, True)
    assert (output / name).exists()


@both
def test_a_file_is_never_replaced(output: Path, force: bool) -> None:
    output.write_text("precious")
    with pytest.raises(IncompatibleError, match="not a directory"):
        refuse(output, force)


@both
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_is_never_replaced(output: Path, force: bool, target: str) -> None:
    (output.parent / "elsewhere").mkdir()
    output.symlink_to(output.parent / target)
    with pytest.raises(IncompatibleError):
        refuse(output, force)


@both
@pytest.mark.parametrize("name", ["out", "out/text.txt", ".", "out/../out"])
def test_an_input_is_never_replaced(publish, tmp_path: Path, force: bool, name: str) -> None:
    output = publish()
    with pytest.raises(UsageError) as caught:
        refuse(output, force, tmp_path / "other.txt", tmp_path / name)
    assert caught.value.exit_code == 2


@both
def test_an_input_is_known_through_a_link(publish, tmp_path: Path, force: bool) -> None:
    (tmp_path / "link").symlink_to(publish())
    with pytest.raises(UsageError):
        refuse(tmp_path / "out", force, tmp_path / "link" / "data")


def test_inputs_beside_the_output_are_fine(publish, tmp_path: Path) -> None:
    refuse(publish(), False, tmp_path / "text.txt", tmp_path / "out.txt", tmp_path / "ou")
