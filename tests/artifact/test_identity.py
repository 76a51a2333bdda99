"""Equal things have equal digests, and nothing else has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structinit_core.artifact import (
    Input,
    Recipe,
    canonical_json,
    file_input,
    pretty_json,
    text_digest,
)
from structinit_core.artifact.digest import file_digest
from structinit_core.errors import InputError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FINITE = SCALARS.filter(lambda value: value not in (float("inf"), float("-inf")))
VALUES = st.recursive(
    FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=15
)


def reversed_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reversed_keys(item) for item in value]
    return value


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_json_does_not_depend_on_the_order_of_keys(value) -> None:
    assert canonical_json(reversed_keys(value)) == canonical_json(value)
    assert pretty_json(reversed_keys(value)) == pretty_json(value)
    assert json.loads(canonical_json(value)) == json.loads(pretty_json(value)) == value
    assert "\n" not in canonical_json(value)
    assert pretty_json(value).endswith("\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [x]}], ids=["bare", "nested"])
def test_what_is_no_number_is_refused(value: float, wrap) -> None:
    for write in (canonical_json, pretty_json):
        with pytest.raises(ValueError, match="JSON compliant"):
            write(wrap(value))


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=5), st.text(max_size=5))
def test_texts_share_a_digest_only_if_they_are_equal(one: str, two: str) -> None:
    assert (text_digest(one) == text_digest(two)) == (one == two)


def test_digests_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert text_digest("abc") == file_digest(tmp_path / "a") == ABC


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            file_digest(path)
        assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"version": 2},
        {"params": {"seed": 1, "field": None}},
        {"params": {"seed": 0}},
        {"params": {"seed": 0, "field": "text"}},
        {"params": {"seed": False, "field": None}},
        {"inputs": ()},
        {"inputs": (Input(name="other.txt", sha256="0" * 64),)},
        {"inputs": (Input(name="text.txt", sha256="1" * 64),)},
        {"inputs": (Input(name="text.txt", sha256="0" * 64),) * 2},
    ],
    ids=str,
)
def test_every_field_of_a_recipe_enters_its_key(recipe: Recipe, change: dict) -> None:
    assert recipe.model_copy(update=change).key != recipe.key


def test_the_order_of_inputs_counts_and_that_of_parameters_does_not(recipe: Recipe) -> None:
    one, two = (Input(name=name, sha256="0" * 64) for name in "ab")
    assert (
        recipe.model_copy(update={"inputs": (one, two)}).key
        != recipe.model_copy(update={"inputs": (two, one)}).key
    )
    turned = dict(reversed(recipe.params.items()))
    assert recipe.model_copy(update={"params": turned}).key == recipe.key


def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.model_validate_json(recipe.model_dump_json()).key == recipe.key


def test_a_parameter_that_is_no_number_has_no_key(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _ = recipe.model_copy(update={"params": {"share": float("nan")}}).key


def test_an_input_is_known_by_name_and_content_and_not_by_place(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text.txt").write_bytes(b"abc")
    assert file_input(tmp_path / "a" / "text.txt") == file_input(tmp_path / "b" / "text.txt")
    assert file_input(tmp_path / "a" / "text.txt") == Input(name="text.txt", sha256=ABC)


def test_a_file_name_that_is_not_utf8_has_a_key(tmp_path: Path, recipe: Recipe) -> None:
    names = (b"caf\xe9.txt", b"caf\xe8.txt")
    paths = [tmp_path / os.fsdecode(name) for name in names]
    for path in paths:
        path.write_bytes(b"abc")
    keys = {recipe.model_copy(update={"inputs": (file_input(path),)}).key for path in paths}
    assert len(keys) == 2
