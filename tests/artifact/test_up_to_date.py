"""When a second run may do nothing, and what it may never replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.artifact import MANIFEST, Recipe, is_up_to_date, refuse_foreign
from structinit_core.errors import IncompatibleError


def test_the_result_of_the_same_recipe_is_up_to_date(publish, recipe: Recipe) -> None:
    assert is_up_to_date(publish(), recipe)


def test_nothing_there_is_not_up_to_date(output: Path, recipe: Recipe) -> None:
    assert not is_up_to_date(output, recipe)
    output.mkdir()
    assert not is_up_to_date(output, recipe)


@pytest.mark.parametrize(
    "change", [{"kind": "other"}, {"version": 2}, {"params": {"seed": 1}}, {"inputs": ()}]
)
def test_another_recipe_is_not_up_to_date(publish, recipe: Recipe, change: dict) -> None:
    assert not is_up_to_date(publish(), recipe.model_copy(update=change))


def test_a_missing_file_is_not_up_to_date(publish, recipe: Recipe) -> None:
    output = publish()
    (output / "data").unlink()
    assert not is_up_to_date(output, recipe)


@pytest.mark.parametrize("content", [b"1234", b"123456", b""])
def test_a_resized_file_is_not_up_to_date(publish, recipe: Recipe, content: bytes) -> None:
    output = publish(data=b"12345")
    (output / "data").write_bytes(content)
    assert not is_up_to_date(output, recipe)


@pytest.mark.parametrize("content", ["{}", '{"manifest_version": 3, "name": "an extension"}', "!"])
def test_a_manifest_of_another_program_is_not_up_to_date(
    output: Path, recipe: Recipe, content: str
) -> None:
    # --force skips refuse_foreign, so the question must have an answer here
    output.mkdir()
    (output / MANIFEST).write_text(content)
    assert not is_up_to_date(output, recipe)


@pytest.mark.parametrize("force", [False, True])
def test_own_missing_and_empty_outputs_may_be_replaced(publish, output: Path, force: bool) -> None:
    refuse_foreign(output, force)
    output.mkdir()
    refuse_foreign(output, force)
    publish()
    refuse_foreign(output, force)


@pytest.mark.parametrize("name", ["thesis.tex", MANIFEST])
def test_a_foreign_directory_is_replaced_by_force_only(output: Path, name: str) -> None:
    output.mkdir()
    (output / name).write_text("{}")
    with pytest.raises(IncompatibleError) as caught:
        refuse_foreign(output, False)
    assert str(output) in str(caught.value)
    refuse_foreign(output, True)
    assert (output / name).exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_never_replaced(output: Path, force: bool) -> None:
    output.write_text("precious")
    with pytest.raises(IncompatibleError, match="not a directory"):
        refuse_foreign(output, force)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_symlink_is_never_replaced(output: Path, force: bool, target: str) -> None:
    (output.parent / "elsewhere").mkdir()
    output.symlink_to(output.parent / target)
    with pytest.raises(IncompatibleError):
        refuse_foreign(output, force)
