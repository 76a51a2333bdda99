"""When a second run may do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from structinit_core.artifact import MANIFEST, Recipe, is_up_to_date


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
