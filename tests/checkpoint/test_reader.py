"""Reading a checkpoint: one file, a directory, or shards named by an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from structinit_core.checkpoint import read_tensors, shard_files
from structinit_core.errors import IncompatibleError, InputError

TENSORS = {"b": torch.ones(2), "a": torch.arange(6.0).reshape(2, 3), "c": torch.zeros(0)}
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
HALVES = {ONE: {"c": TENSORS["c"], "a": TENSORS["a"]}, TWO: {"b": TENSORS["b"]}}
INDEX = "model.safetensors.index.json"


def same(path: Path) -> None:
    read = list(read_tensors(path))
    assert [name for name, _ in read] == ["a", "b", "c"]
    for name, tensor in read:
        assert torch.equal(tensor, TENSORS[name])


def test_a_file_a_directory_and_shards_read_alike(tmp_path: Path, sharded) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    same(tmp_path / "model.safetensors")
    same(tmp_path)
    same(sharded(HALVES))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_dtypes_are_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    save_file({"a": torch.ones(2, dtype=dtype)}, tmp_path / "any.safetensors")
    [(_, tensor)] = read_tensors(tmp_path / "any.safetensors")
    assert tensor.dtype == dtype


def test_shards_are_listed_once_in_name_order(sharded) -> None:
    assert [file.name for file in shard_files(sharded(HALVES))] == [ONE, TWO]


def test_a_single_file_goes_before_an_index(sharded) -> None:
    directory = sharded({ONE: {"z": torch.ones(1)}})
    save_file(TENSORS, directory / "model.safetensors")
    same(directory)


def test_an_unfinished_reading_closes_its_files(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    reading = read_tensors(tmp_path)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    same(tmp_path)


def test_a_pickled_file_is_refused_with_a_way_out(tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (flag,)

    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": Payload()}, path)
    with pytest.raises(InputError, match=r"pytorch_model\.bin") as caught:
        list(read_tensors(path))
    assert caught.value.hint
    assert not flag.exists()


def test_a_directory_of_pickles_holds_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"model\.safetensors") as caught:
        list(read_tensors(tmp_path))
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("name", ["missing", "missing.safetensors"])
def test_a_missing_path_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_tensors(tmp_path / name))
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.exit_code == 3


def test_a_missing_shard_is_named(sharded) -> None:
    directory = sharded(HALVES)
    (directory / TWO).unlink()
    with pytest.raises(InputError, match="missing") as caught:
        list(read_tensors(directory))
    assert str(directory) in str(caught.value)
    assert TWO in str(caught.value)


def test_a_tensor_of_the_index_that_no_shard_holds_is_named(sharded) -> None:
    directory = sharded(HALVES, {"a": ONE, "b": TWO, "lost": TWO})
    with pytest.raises(IncompatibleError) as caught:
        list(read_tensors(directory))
    assert caught.value.where == "lost"
    assert caught.value.exit_code == 4


def test_a_stale_copy_in_another_shard_is_not_taken(sharded) -> None:
    directory = sharded(
        {ONE: {"a": torch.ones(2)}, TWO: {"a": torch.zeros(2), "b": torch.ones(2)}},
        {"a": ONE, "b": TWO},
    )
    try:
        read = dict(read_tensors(directory))
    except IncompatibleError:
        return
    assert torch.equal(read["a"], torch.ones(2))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "5",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": null}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": ["model.safetensors"]}}',
        '{"weight_map":' * 100_000,
    ],
    ids=range(10),
)
def test_what_is_no_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(InputError, match="not an index") as caught:
        list(read_tensors(tmp_path))
    assert caught.value.where == str(tmp_path / INDEX)


def test_other_keys_of_an_index_are_ignored(sharded) -> None:
    directory = sharded(HALVES)
    index = json.loads((directory / INDEX).read_text())
    index |= {"metadata": {"total_size": -1}, "extra": [1]}
    (directory / INDEX).write_text(json.dumps(index))
    same(directory)
