"""Opening an artifact: everything the manifest claims is checked before it is used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from structinit_core.artifact import MANIFEST, Recipe, manifest, open_artifact, save_array
from structinit_core.artifact.publish import locked, staged
from structinit_core.errors import IncompatibleError


def refused(path: Path, match: str = ".") -> None:
    with pytest.raises(IncompatibleError, match=match) as caught:
        open_artifact(path, "demo", 1)
    assert caught.value.exit_code == 4
    assert str(path) in str(caught.value)


def test_what_was_published_is_opened(publish, recipe: Recipe) -> None:
    assert open_artifact(publish(), "demo", 1).recipe == recipe


def test_arrays_are_described(output: Path, recipe: Recipe) -> None:
    with locked(output), staged(output, recipe) as work:
        save_array(work / "a.npy", np.zeros((2, 3), np.uint16))
    entry = open_artifact(output, "demo", 1).files["a.npy"]
    assert (entry.dtype, entry.shape) == ("<u2", (2, 3))


def test_a_directory_without_manifest_is_refused(output: Path) -> None:
    refused(output, MANIFEST)
    output.mkdir()
    refused(output, MANIFEST)


def test_another_kind_is_named(publish) -> None:
    with pytest.raises(IncompatibleError, match=r"'demo'.*'counts'"):
        open_artifact(publish(), "counts", 1)


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_refused_with_a_way_out(publish, version: int) -> None:
    with pytest.raises(IncompatibleError) as caught:
        open_artifact(publish(), "demo", version)
    assert caught.value.hint


def test_a_missing_file_is_named(publish) -> None:
    output = publish(data=b"1", more=b"2")
    (output / "more").unlink()
    refused(output, "more")


@pytest.mark.parametrize("content", [b"1234", b"123456"])
def test_a_resized_file_is_named(publish, content: bytes) -> None:
    output = publish(data=b"12345")
    (output / "data").write_bytes(content)
    refused(output, "data")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "sub/../../outside", "", ".", "nul\0", "\ud800", "x" * 300],
    ids=lambda name: ascii(name)[:20],
)
def test_a_name_that_is_no_file_of_the_artifact_is_refused(
    publish, rewrite_manifest, name: str
) -> None:
    output = publish()
    (output.parent / "outside").write_bytes(b"12345")
    rewrite_manifest(lambda manifest: manifest["files"].update({name: manifest["files"]["data"]}))
    refused(output)


@pytest.mark.parametrize("target", ["../outside", "data"])
def test_a_link_out_of_the_artifact_or_to_itself_is_refused(publish, target: str) -> None:
    output = publish()
    (output.parent / "outside").write_bytes(b"12345")
    (output / "data").unlink()
    (output / "data").symlink_to(target)
    refused(output)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"schema": "structinit/artifact/2", "recipe": {}, "key": "", "files": {}}',
    ],
    ids=range(9),
)
def test_garbage_is_not_a_manifest(output: Path, content: bytes) -> None:
    output.mkdir()
    (output / MANIFEST).write_bytes(content)
    refused(output, MANIFEST)


@pytest.mark.parametrize(
    ("field", "value"),
    [("files", []), ("files", {"a": 1}), ("recipe", None), ("key", 1), ("schema", "other/1")],
)
def test_a_field_of_another_type_is_refused(publish, rewrite_manifest, field, value) -> None:
    output = publish()
    rewrite_manifest(lambda manifest: manifest.update({field: value}))
    refused(output, MANIFEST)


def test_a_huge_manifest_is_not_read(publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 100)
    refused(publish(), MANIFEST)


def test_the_content_is_that_of_the_files(publish, recipe: Recipe) -> None:
    other = recipe.model_copy(update={"params": {}})
    first = open_artifact(publish(a=b"1", **{"run.json": b"x"}), "demo", 1).content
    assert open_artifact(publish(other, a=b"1", **{"run.json": b"y"}), "demo", 1).content == first
    for files in ({"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}):
        assert open_artifact(publish(**files), "demo", 1).content != first


def test_the_manifest_is_plain_sorted_json(publish) -> None:
    text = (publish() / MANIFEST).read_text(encoding="utf-8")
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert text.endswith("}\n")
    assert content["recipe"]["params"] == {"seed": 0, "field": None}
