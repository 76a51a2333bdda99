"""Checkpoints made to harm: refused by name, nothing outside the directory is touched."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from structinit_core.checkpoint import read_tensors, shard_files
from structinit_core.errors import IncompatibleError, InputError

SHARD = "model-00001-of-00001.safetensors"
WHOLE = save({"a": torch.arange(6.0), "b": torch.ones(2)})


def entry(*shape: int, span: tuple[int, int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}


def packed(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "name",
    ["../outside.safetensors", "..", ".", "", "sub/../../outside.safetensors", "nul\0", "x" * 300],
    ids=lambda name: ascii(name)[:20],
)
def test_an_index_names_files_of_its_directory_only(sharded, name: str) -> None:
    directory = sharded({}, {"a": name})
    save_file({"a": torch.ones(1)}, directory.parent / "outside.safetensors")
    with pytest.raises((IncompatibleError, InputError)):
        shard_files(directory)


def test_an_absolute_name_is_refused(sharded, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    save_file({"a": torch.ones(1)}, outside)
    with pytest.raises(IncompatibleError, match=r"outside\.safetensors"):
        shard_files(sharded({}, {"a": str(outside)}))


def test_a_link_the_user_has_set_is_followed(sharded, tmp_path: Path) -> None:
    # a download cache keeps every shard as a link to a blob elsewhere
    save_file({"a": torch.ones(1)}, tmp_path / "blob")
    directory = sharded({}, {"a": SHARD})
    (directory / SHARD).symlink_to(tmp_path / "blob")
    assert [name for name, _ in read_tensors(directory)] == ["a"]


def test_a_link_to_itself_is_refused(sharded) -> None:
    directory = sharded({}, {"a": SHARD})
    (directory / SHARD).symlink_to(SHARD)
    with pytest.raises((IncompatibleError, InputError), match=SHARD):
        list(read_tensors(directory))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" * 7, id="no length"),
        pytest.param(WHOLE[:-1], id="truncated data"),
        pytest.param(WHOLE[:20], id="truncated header"),
        pytest.param(WHOLE + b"\0", id="longer than planned"),
        pytest.param((2**62).to_bytes(8, "little") + b"{}", id="header bomb"),
        pytest.param((2**64 - 1).to_bytes(8, "little") + b"{}", id="overflowing length"),
        pytest.param((50_000_000).to_bytes(8, "little") + b"{}", id="longer than the file"),
        pytest.param(b"\x08" + bytes(7) + b"not json", id="no json"),
        pytest.param(packed([]), id="no object"),
        pytest.param(packed({"a": 1}), id="no entry"),
        pytest.param(
            packed({"a": entry(2, span=(0, 8)), "b": entry(2, span=(4, 12))}, bytes(12)),
            id="overlap",
        ),
        pytest.param(
            packed({"a": entry(2, span=(0, 8)), "b": entry(2, span=(12, 20))}, bytes(20)),
            id="hole",
        ),
        pytest.param(packed({"a": entry(2, span=(8, 0))}, bytes(8)), id="backwards"),
        pytest.param(packed({"a": entry(2, span=(0, 800))}, bytes(8)), id="beyond the end"),
        pytest.param(packed({"a": entry(3, span=(0, 8))}, bytes(8)), id="wrong size"),
        pytest.param(packed({"a": entry(2**62, 4, span=(0, 0))}), id="overflowing size"),
        pytest.param(packed({"a": entry(0, 2**63, span=(0, 0))}), id="overflowing axis"),
        pytest.param(packed({"a": entry(-2, span=(0, 8))}, bytes(8)), id="negative"),
        pytest.param(packed({"a": entry(2, span=(0, 8), dtype="F99")}, bytes(8)), id="dtype"),
        pytest.param(
            packed({"a": entry(4, span=(0, 3), dtype="F6_E2M3")}, bytes(3)), id="odd dtype"
        ),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_tensors(path))
    assert caught.value.where == str(path)


def test_a_malformed_shard_is_named(sharded) -> None:
    directory = sharded({"one.safetensors": {"a": torch.ones(1)}}, {"a": SHARD, "b": SHARD})
    (directory / SHARD).write_bytes(WHOLE[:-1])
    with pytest.raises(InputError) as caught:
        list(read_tensors(directory))
    assert caught.value.where == str(directory / SHARD)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), patch=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_gives_tensors_or_a_refusal(place: int, patch: bytes) -> None:
    content = bytearray(WHOLE)
    content[place : place + len(patch)] = patch
    with TemporaryDirectory() as directory, suppress(InputError):
        path = Path(directory, "model.safetensors")
        path.write_bytes(content)
        assert all(isinstance(tensor, torch.Tensor) for _, tensor in read_tensors(path))
